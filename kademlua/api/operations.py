"""The operations of a running node by name, for the control socket and ``--json``.

>>> NodeApi(node).call("find", {"key": sha1("greeting").hex()})

Arguments and results are JSON objects; ``json_form`` defines them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import kademlua
from kademlua.api.bulk_operations import BulkOperations
from kademlua.api.fields import BadRequest, Fields
from kademlua.api.json_form import (
    ContactDetailsJson,
    FoundValuesJson,
    LookupJson,
    PongJson,
    PublicationJson,
    StoredValueJson,
    StoreReportJson,
    answers_to_json,
    contact_details_to_json,
    histograms_to_json,
    lookup_to_json,
    ping_to_json,
    publication_to_json,
    report_to_json,
    stored_value_to_json,
)
from kademlua.api.lookup_trace import trace_lookup
from kademlua.api.object_operations import ObjectOperations
from kademlua.api.program import UNKNOWN_PROGRAM, Program
from kademlua.api.text_keys import TextKeys
from kademlua.build import build_name
from kademlua.core.errors import StorageError
from kademlua.core.json_codec import contact_to_json
from kademlua.core.lookup.find_budget import FindLimits
from kademlua.node.node import Node
from kademlua.objects.published import PublishedObjects
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.durability import wait_durable
from kademlua.runtime.time_slices import in_slices
from kademlua.storage.export_format import ImportResult, import_value, stored_values
from kademlua.values.admission import AdmissionPolicy

_DEFAULT_MAX_NODES = 3
_DEFAULT_MAX_VALUES = 4096


class NodeApi:
    """The operations of one node. A call blocks the calling greenlet."""

    def __init__(
        self,
        node: Node,
        *,
        clock: Callable[[], float] = boot_clock,
        program: Program = UNKNOWN_PROGRAM,
    ) -> None:
        """Create the API; ``clock`` is the node's clock."""
        self._node = node
        self._clock = clock
        self._program = program
        self._text_keys = TextKeys()
        self._calls: dict[str, Callable[[Fields], Mapping[str, Any]]] = {
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
            "status": self._status,
            "stop": self._stop,
        }
        self._streams: dict[str, Callable[[Fields], Iterator[Mapping[str, Any]]]] = {
            "published": self._published,
            "stored": self._stored,
        }
        objects = ObjectOperations(node)
        self._calls |= objects.calls
        self._streams |= objects.streams | BulkOperations(node).streams

    @property
    def names(self) -> list[str]:
        """The names of all operations."""
        return [*self._calls, *self._streams]

    def is_stream(self, name: str) -> bool:
        """Return whether an operation yields rows, for ``stream`` instead of ``call``."""
        return name in self._streams

    def call(self, name: str, raw_fields: Mapping[str, Any]) -> dict[str, Any]:
        """Run an operation and return its result.

        Raises:
            BadRequest: The name or a field is invalid.
            KademluaError: The node failed to run the operation.
        """
        function = self._calls.get(name)
        if function is None:
            raise BadRequest(f"there is no operation {name!r:.40}")
        return cast("dict[str, Any]", function(Fields(raw_fields, self._text_keys)))

    def stream(self, name: str, raw_fields: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Return an iterator over the rows of an operation.

        Raises:
            BadRequest: The name or a field is invalid.
        """
        function = self._streams.get(name)
        if function is None:
            raise BadRequest(f"there is no operation {name!r:.40}")
        rows = function(Fields(raw_fields, self._text_keys))
        return map(self._text_keys.name, rows)

    def _begin_network_operation(self, fields: Fields) -> None:
        """Reject unknown fields, then wait until the node joined or failed to."""
        fields.reject_unknown()
        self._node.wait_joined()

    # Values.

    def _add(self, fields: Fields) -> StoreReportJson:
        """``key``, ``value``, ``ttl``, ``overwrite`` → the store report."""
        key, value, ttl = fields.key(), fields.value(), fields.seconds("ttl")
        overwrite = fields.flag("overwrite")
        self._begin_network_operation(fields)
        with _as_bad_request():
            store = self._node.overwrite if overwrite else self._node.add
            return report_to_json(key, store(key, value, ttl=ttl))

    def _publish(self, fields: Fields) -> StoreReportJson:
        """``key``, ``value``, ``ttl`` → the store report."""
        key, value, ttl = fields.key(), fields.value(), fields.seconds("ttl")
        self._begin_network_operation(fields)
        with _as_bad_request():
            return report_to_json(key, self._node.publish(key, value, ttl=ttl))

    def _unpublish(self, fields: Fields) -> dict[str, Any]:
        """``key`` → whether it was published."""
        key = fields.key()
        fields.reject_unknown()
        return {"key": key.hex(), "was_published": self._node.unpublish(key)}

    def _published(self, fields: Fields) -> Iterator[PublicationJson]:
        """→ rows: the published values, without the blocks of objects."""
        fields.reject_unknown()
        return map(publication_to_json, PublishedObjects(self._node.published()).others())

    def _remove(self, fields: Fields) -> StoreReportJson:
        """``key`` → the report of the removal."""
        key = fields.key()
        self._begin_network_operation(fields)
        return report_to_json(key, self._node.remove(key))

    def _find(self, fields: Fields) -> FoundValuesJson:
        """``key``, ``answers``, and ``per_node``, ``max_bytes``, ``timeout`` → the values of each
        node."""
        key = fields.key()
        max_nodes = fields.count("answers", _DEFAULT_MAX_NODES)
        params = self._node.params
        with _as_bad_request():
            limits = FindLimits(
                max_values_per_node=fields.count("per_node", _DEFAULT_MAX_VALUES),
                max_bytes=fields.count("max_bytes", params.max_find_bytes),
                timeout=fields.seconds("timeout"),
            )
        self._begin_network_operation(fields)
        return answers_to_json(key, self._node.find_value(key, max_nodes, limits=limits))

    def _stored(self, fields: Fields) -> Iterator[StoredValueJson]:
        """``key`` (optional) → rows: the stored values."""
        keys = [fields.key()] if "key" in fields else self._node.datastore.keys()
        fields.reject_unknown()
        return map(stored_value_to_json, stored_values(self._node.datastore, keys, self._clock))

    def _import(self, fields: Fields) -> dict[str, Any]:
        """``values``, rows of ``stored`` → counts of imported, expired and refused values."""
        values = fields.stored_values(self._clock)
        fields.reject_unknown()
        result = ImportResult()
        store, context = self._node.datastore, self._node.services.context
        admission = AdmissionPolicy(store, context.wall_clock)
        max_ttl = context.params.max_ttl
        on_change = self._node.services.lease_holder.on_change
        for stored_value in in_slices(values, self._clock):
            now = self._clock()
            import_value(admission, stored_value, now=now, max_ttl=max_ttl, result=result)
            on_change(stored_value.key)
        reason = wait_durable(store)
        if reason is not None:
            raise StorageError(f"the values can't be kept: {reason}")
        return {"imported": result.imported, "expired": result.expired, "refused": result.refused}

    # The network, and the node itself.

    def _lookup(self, fields: Fields) -> LookupJson:
        """``key``, ``trace`` → the closest contacts, and the optional trace."""
        key, is_traced = fields.key(), fields.flag("trace")
        self._begin_network_operation(fields)
        with trace_lookup(self._node, self._clock) if is_traced else nullcontext() as trace:
            started_at = self._clock()
            found = self._node.find_node(key)
        result = lookup_to_json(key, found, self._clock() - started_at)
        if trace is not None:
            result["trace"] = trace.to_json()
        return result

    def _ping(self, fields: Fields) -> PongJson:
        """``address``, ``port`` → the contact that replied, and its round-trip time."""
        endpoint = fields.endpoint()
        fields.reject_unknown()
        contact, seconds = self._node.ping(endpoint)
        return ping_to_json(contact, seconds)

    def _contacts(self, fields: Fields) -> dict[str, list[ContactDetailsJson]]:
        """→ the contacts of the routing table, the farthest bucket first."""
        fields.reject_unknown()
        buckets = self._node.table.buckets
        return {
            "contacts": [
                contact_details_to_json(self._node, contact, self._clock())
                for bucket in buckets
                for contact in bucket.contacts
            ]
        }

    def _stats(self, fields: Fields) -> dict[str, Any]:
        """→ the counters since the node started."""
        fields.reject_unknown()
        return self._node.stats()

    def _timings(self, fields: Fields) -> dict[str, Any]:
        """→ histograms of round trips and lookups since the first call of this operation."""
        fields.reject_unknown()
        timings = self._node.timings()
        return {
            "round_trips": histograms_to_json(timings.rtts),
            "lookups": histograms_to_json(timings.lookup_times),
            "queries": histograms_to_json(timings.lookup_queries),
        }

    def _node_info(self, fields: Fields) -> dict[str, Any]:
        """→ the node's contact, process id, version and build."""
        fields.reject_unknown()
        return {
            **contact_to_json(self._node.contact),
            "joined": self._node.joined,
            "process": os.getpid(),
            "version": kademlua.__version__,
            "build": build_name(),
        }

    def _status(self, fields: Fields) -> dict[str, Any]:
        """→ what ``node`` returns, and what a user asks first about a node."""
        node, directory = self._node, self._program.data_directory
        republisher = node.services.republisher
        return {
            **self._node_info(fields),
            "reachable": node.reachable,
            "contacts": len(node.table),
            "values": len(node.datastore),
            "published": len(republisher),
            "republish_lag_seconds": republisher.lag(),
            "network_size": node.network_size(),
            "data_directory": None if directory is None else str(directory.absolute()),
        }

    def _stop(self, fields: Fields) -> dict[str, Any]:
        """→ the node's contact and process id; its program begins to stop."""
        fields.reject_unknown()
        if self._program.stop is None:
            raise BadRequest("the node is part of another program; stop that program")
        self._program.stop()
        return {**contact_to_json(self._node.contact), "process": os.getpid()}


@contextmanager
def _as_bad_request() -> Iterator[None]:
    """Convert a ValueError of Node, such as for an oversized value, to BadRequest."""
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from None
