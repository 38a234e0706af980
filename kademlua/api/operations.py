"""The operations of a running node by name, once for all who drive it from outside.

>>> Operations(node).do("find", {"key": sha1("greeting").hex()})

What goes in and comes out are plain dictionaries, as JSON has them; ``forms`` says how.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import gevent
from gevent.event import AsyncResult

import kademlua
from kademlua.api.fields import (
    BadRequest,
    Fields,
    held_json,
    packed_bytes,
    packed_value,
    report_json,
)
from kademlua.api.lookup_trace import traced
from kademlua.core import ids
from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.histograms import Histogram
from kademlua.core.json_codec import contact_json
from kademlua.node.node import Node
from kademlua.storage.export_format import Imported, held_of, put

_TURN = 64
"""Values that are put into a store before others have their turn."""
_ANSWERS = 3
_PER_NODE = 4096


class Operations:
    """What can be asked of one node. Blocks the greenlet that asks."""

    def __init__(self, node: Node, *, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is the node's."""
        self._node = node
        self._clock = clock
        self._calls: dict[str, Callable[[Fields], dict[str, Any]]] = {
            "add": self._add,
            "publish": self._publish,
            "unpublish": self._unpublish,
            "remove": self._remove,
            "find": self._find,
            "lookup": self._lookup,
            "ping": self._ping,
            "import": self._import,
            "contacts": self._contacts,
            "stats": self._stats,
            "timings": self._timings,
            "node": self._about,
        }
        self._streams: dict[str, Callable[[Fields], Iterator[dict[str, Any]]]] = {
            "published": self._published,
            "stored": self._stored,
        }

    @property
    def names(self) -> list[str]:
        """All that can be asked."""
        return [*self._calls, *self._streams]

    def is_stream(self, name: str) -> bool:
        """Whether an operation gives row after row: for ``rows``, and not for ``do``."""
        return name in self._streams

    def do(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Do an operation. BadRequest for what makes no sense, else the errors of Node."""
        function = self._calls.get(name)
        if function is None:
            raise BadRequest(f"there is no operation {name!r:.40}")
        return function(Fields(given))

    def rows(self, name: str, given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What an operation finds, one by one; raises as ``do`` does, before the first."""
        function = self._streams.get(name)
        if function is None:
            raise BadRequest(f"there is no operation {name!r:.40}")
        return function(Fields(given))

    # Values.

    def _add(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``value``, ``ttl``, ``overwrite`` → what became of it."""
        key, value, ttl = fields.key(), fields.value(), fields.seconds("ttl")
        overwrite = fields.flag("overwrite")
        fields.end()
        self._node.wait_joined()
        with _arguments():
            return report_json(key, self._node.store(key, value, ttl=ttl, overwrite=overwrite))

    def _publish(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``value``, ``ttl`` → what became of it."""
        key, value, ttl = fields.key(), fields.value(), fields.seconds("ttl")
        fields.end()
        self._node.wait_joined()
        with _arguments():
            return report_json(key, self._node.publish(key, value, ttl=ttl))

    def _unpublish(self, fields: Fields) -> dict[str, Any]:
        """``key`` → whether it was published."""
        key = fields.key()
        fields.end()
        return {"key": key.hex(), "was_published": self._node.unpublish(key)}

    def _published(self, fields: Fields) -> Iterator[dict[str, Any]]:
        """What this node publishes."""
        fields.end()
        return (
            {"key": each.key.hex(), "value": packed_bytes(each.encoded), "ttl": each.ttl}
            for each in self._node.published()
        )

    def _remove(self, fields: Fields) -> dict[str, Any]:
        """``key`` → who took it away."""
        key = fields.key()
        fields.end()
        self._node.wait_joined()
        return report_json(key, self._node.remove(key))

    def _find(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``answers``, ``per_node`` → the values of each node."""
        key = fields.key()
        answers, per_node = fields.count("answers", _ANSWERS), fields.count("per_node", _PER_NODE)
        fields.end()
        self._node.wait_joined()
        return {
            "key": key.hex(),
            "answers": [
                {
                    "node": contact_json(answer.contact),
                    "values": [packed_value(value) for value in answer.values],
                }
                for answer in self._node.find_value(key, answers, per_node)
            ],
        }

    def _stored(self, fields: Fields) -> Iterator[dict[str, Any]]:
        """What this node keeps, of all keys or of ``key``."""
        keys = [fields.key()] if "key" in fields else self._node.datastore.keys()
        fields.end()
        return map(held_json, held_of(self._node.datastore, keys, self._clock))

    def _import(self, fields: Fields) -> dict[str, Any]:
        """``values``, as ``stored`` shows them → how many this node keeps from now on."""
        rows = fields.held()
        fields.end()
        result = Imported()
        store = self._node.datastore
        for number, held in enumerate(rows):
            if number % _TURN == _TURN - 1:
                gevent.sleep(0)
            put(store, held, self._clock(), result)
        said: AsyncResult[str | None] = AsyncResult()
        store.kept(said.set)
        reason = said.get()
        if reason is not None:
            raise StorageError(f"the values can't be kept: {reason}")
        return {"taken": result.taken, "ended": result.ended, "refused": result.refused}

    # The network, and the node itself.

    def _lookup(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``trace`` → the nodes closest to it; with a trace, how they were found."""
        key, is_traced = fields.key(), fields.flag("trace")
        fields.end()
        self._node.wait_joined()
        with traced(self._node, self._clock) if is_traced else nullcontext() as trace:
            found = self._node.find_node(key)
        told = {"key": key.hex(), "nodes": [contact_json(each) for each in found]}
        return told if trace is None else told | {"trace": trace.json()}

    def _ping(self, fields: Fields) -> dict[str, Any]:
        """``address``, ``port`` → who answers, and after how long."""
        endpoint = fields.contacts_address()
        fields.end()
        contact, seconds = self._node.ping(endpoint)
        return contact_json(contact) | {"seconds": round(seconds, 6)}

    def _contacts(self, fields: Fields) -> dict[str, Any]:
        """→ who is in the routing table, bucket by bucket, the far ones first."""
        fields.end()
        buckets = self._node.table.buckets
        return {
            "contacts": [
                self._contact(contact) for bucket in buckets for contact in bucket.contacts.values()
            ]
        }

    def _contact(self, contact: Contact) -> dict[str, Any]:
        peer = self._node.table.get(contact.id)
        told = contact_json(contact) | {
            "bucket": ids.bucket_number(self._node.id, contact.id),
            "heard_ago": None,
            "round_trip": None,
        }
        if peer is not None:
            told["heard_ago"] = round(max(self._clock() - peer.heard, 0), 3)
            told["round_trip"] = round(peer.smoothed, 6) if peer.smoothed >= 0 else None
        return told

    def _stats(self, fields: Fields) -> dict[str, Any]:
        """→ what the node counted since it began."""
        fields.end()
        return self._node.stats()

    def _timings(self, fields: Fields) -> dict[str, Any]:
        """→ histograms of round trips and lookups, since this was first asked."""
        fields.end()
        timings = self._node.timings()
        return {
            "round_trips": _histograms(timings.round_trips),
            "lookups": _histograms(timings.lookups),
            "queries": _histograms(timings.queries),
        }

    def _about(self, fields: Fields) -> dict[str, Any]:
        """→ who the node is."""
        fields.end()
        return contact_json(self._node.contact) | {
            "joined": self._node.joined,
            "process": os.getpid(),
            "version": kademlua.__version__,
        }


def _histograms(named: Mapping[str, Histogram]) -> dict[str, Any]:
    """Histograms as JSON: how many were up to each bound and over the one before, the last how
    many were over all, and the sum."""
    return {
        name: {
            "bounds": [bound for bound, _ in histogram.buckets()[:-1]],
            "counts": histogram.counts,
            "total": round(histogram.total, 6),
        }
        for name, histogram in named.items()
    }


@contextmanager
def _arguments() -> Iterator[None]:
    """Make a BadRequest of what Node says of a value that is too large, or a time too long."""
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from None
