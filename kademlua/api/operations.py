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

import kademlua
from kademlua.api.fields import (
    BadRequest,
    Fields,
    bytes_to_base64,
    report_to_json,
    stored_value_to_json,
    value_to_base64,
)
from kademlua.api.lookup_trace import trace_lookup
from kademlua.core import ids
from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.histograms import Histogram
from kademlua.core.json_codec import contact_to_json
from kademlua.node.node import Node
from kademlua.runtime.durability import wait_durable
from kademlua.storage.export_format import ImportResult, import_value, stored_values

_YIELD_EVERY = 64
"""Values that are put into a store before others have their turn."""
_DEFAULT_MAX_NODES = 3
_DEFAULT_MAX_VALUES = 4096


class NodeApi:
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
            "node": self._node_info,
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
        """Whether an operation gives row after row: for ``stream``, and not for ``call``."""
        return name in self._streams

    def call(self, name: str, raw_fields: Mapping[str, Any]) -> dict[str, Any]:
        """Do an operation. BadRequest for what makes no sense, else the errors of Node."""
        function = self._calls.get(name)
        if function is None:
            raise BadRequest(f"there is no operation {name!r:.40}")
        return function(Fields(raw_fields))

    def stream(self, name: str, raw_fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What an operation finds, one by one; raises as ``call`` does, before the first."""
        function = self._streams.get(name)
        if function is None:
            raise BadRequest(f"there is no operation {name!r:.40}")
        return function(Fields(raw_fields))

    # Values.

    def _add(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``value``, ``ttl``, ``overwrite`` → what became of it."""
        key, value, ttl = fields.key(), fields.value(), fields.seconds("ttl")
        overwrite = fields.flag("overwrite")
        fields.reject_unknown()
        self._node.wait_joined()
        with _as_bad_request():
            store = self._node.overwrite if overwrite else self._node.add
            return report_to_json(key, store(key, value, ttl=ttl))

    def _publish(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``value``, ``ttl`` → what became of it."""
        key, value, ttl = fields.key(), fields.value(), fields.seconds("ttl")
        fields.reject_unknown()
        self._node.wait_joined()
        with _as_bad_request():
            return report_to_json(key, self._node.publish(key, value, ttl=ttl))

    def _unpublish(self, fields: Fields) -> dict[str, Any]:
        """``key`` → whether it was published."""
        key = fields.key()
        fields.reject_unknown()
        return {"key": key.hex(), "was_published": self._node.unpublish(key)}

    def _published(self, fields: Fields) -> Iterator[dict[str, Any]]:
        """What this node publishes."""
        fields.reject_unknown()
        return (
            {"key": each.key.hex(), "value": bytes_to_base64(each.encoded), "ttl": each.ttl}
            for each in self._node.published()
        )

    def _remove(self, fields: Fields) -> dict[str, Any]:
        """``key`` → who took it away."""
        key = fields.key()
        fields.reject_unknown()
        self._node.wait_joined()
        return report_to_json(key, self._node.remove(key))

    def _find(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``answers``, ``per_node`` → the values of each node."""
        key = fields.key()
        max_nodes, max_values = (
            fields.count("answers", _DEFAULT_MAX_NODES),
            fields.count("per_node", _DEFAULT_MAX_VALUES),
        )
        fields.reject_unknown()
        self._node.wait_joined()
        return {
            "key": key.hex(),
            "answers": [
                {
                    "node": contact_to_json(answer.contact),
                    "values": [value_to_base64(value) for value in answer.values],
                }
                for answer in self._node.find_value(key, max_nodes, max_values)
            ],
        }

    def _stored(self, fields: Fields) -> Iterator[dict[str, Any]]:
        """What this node keeps, of all keys or of ``key``."""
        keys = [fields.key()] if "key" in fields else self._node.datastore.keys()
        fields.reject_unknown()
        return map(stored_value_to_json, stored_values(self._node.datastore, keys, self._clock))

    def _import(self, fields: Fields) -> dict[str, Any]:
        """``values``, as ``stored`` shows them → how many this node keeps from now on."""
        values = fields.stored_values()
        fields.reject_unknown()
        result = ImportResult()
        store = self._node.datastore
        for index, stored_value in enumerate(values):
            if index % _YIELD_EVERY == _YIELD_EVERY - 1:
                gevent.sleep(0)
            import_value(store, stored_value, self._clock(), result)
        reason = wait_durable(store)
        if reason is not None:
            raise StorageError(f"the values can't be kept: {reason}")
        return {"taken": result.imported, "ended": result.expired, "refused": result.refused}

    # The network, and the node itself.

    def _lookup(self, fields: Fields) -> dict[str, Any]:
        """``key``, ``trace`` → the nodes closest to it; with a trace, how they were found."""
        key, is_traced = fields.key(), fields.flag("trace")
        fields.reject_unknown()
        self._node.wait_joined()
        with trace_lookup(self._node, self._clock) if is_traced else nullcontext() as trace:
            found = self._node.find_node(key)
        result = {"key": key.hex(), "nodes": [contact_to_json(each) for each in found]}
        return result if trace is None else result | {"trace": trace.to_json()}

    def _ping(self, fields: Fields) -> dict[str, Any]:
        """``address``, ``port`` → who answers, and after how long."""
        endpoint = fields.endpoint()
        fields.reject_unknown()
        contact, seconds = self._node.ping(endpoint)
        return contact_to_json(contact) | {"seconds": round(seconds, 6)}

    def _contacts(self, fields: Fields) -> dict[str, Any]:
        """→ who is in the routing table, bucket by bucket, the far ones first."""
        fields.reject_unknown()
        buckets = self._node.table.buckets
        return {
            "contacts": [
                self._contact_info(contact)
                for bucket in buckets
                for contact in bucket.contacts.values()
            ]
        }

    def _contact_info(self, contact: Contact) -> dict[str, Any]:
        entry = self._node.table.get(contact.id)
        info = contact_to_json(contact) | {
            "bucket": ids.bucket_number(self._node.id, contact.id),
            "heard_ago": None,
            "round_trip": None,
        }
        if entry is not None:
            info["heard_ago"] = round(max(self._clock() - entry.last_seen, 0), 3)
            info["round_trip"] = round(entry.rtt.srtt, 6) if entry.rtt.srtt >= 0 else None
        return info

    def _stats(self, fields: Fields) -> dict[str, Any]:
        """→ what the node counted since it began."""
        fields.reject_unknown()
        return self._node.stats()

    def _timings(self, fields: Fields) -> dict[str, Any]:
        """→ histograms of round trips and lookups, since this was first asked."""
        fields.reject_unknown()
        timings = self._node.timings()
        return {
            "round_trips": _histograms_to_json(timings.rtts),
            "lookups": _histograms_to_json(timings.lookup_times),
            "queries": _histograms_to_json(timings.lookup_queries),
        }

    def _node_info(self, fields: Fields) -> dict[str, Any]:
        """→ who the node is."""
        fields.reject_unknown()
        return contact_to_json(self._node.contact) | {
            "joined": self._node.joined,
            "process": os.getpid(),
            "version": kademlua.__version__,
        }


def _histograms_to_json(by_name: Mapping[str, Histogram]) -> dict[str, Any]:
    """Histograms as JSON: how many were up to each bound and over the one before, the last how
    many were over all, and the sum."""
    return {
        name: {
            "bounds": [bound for bound, _ in histogram.cumulative_buckets()[:-1]],
            "counts": histogram.counts,
            "total": round(histogram.total, 6),
        }
        for name, histogram in by_name.items()
    }


@contextmanager
def _as_bad_request() -> Iterator[None]:
    """Make a BadRequest of what Node says of a value that is too large, or a time too long."""
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from None
