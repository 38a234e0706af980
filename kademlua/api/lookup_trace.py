"""The trace of one lookup: the queried nodes, who reported them, and the times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gevent import getcurrent

from kademlua.api.json_form import LookupTraceJson, TracedQueryJson
from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_to_json
from kademlua.node.node import Node
from kademlua.runtime.observers import LookupObserver, Observer


class LookupTrace(LookupObserver):
    """Records the queries of one lookup."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        self._started_at = clock()
        self._duration: float | None = None
        self._responder_ids: dict[bytes, bytes | None] = {}
        """Ids of the nodes that reported each contact first; None for the routing table."""
        self._queries: dict[bytes, TracedQueryJson] = {}

    def to_json(self) -> LookupTraceJson:
        """Return the trace so far."""
        return {
            "node": contact_to_json(self._node.contact),
            "seconds": self._elapsed() if self._duration is None else self._duration,
            "queries": list(self._queries.values()),
        }

    def on_seeded(self, contacts: list[Contact]) -> None:
        """Record the contacts from the routing table."""
        for each in contacts:
            self._responder_ids.setdefault(each.id, None)

    def on_query(self, contact: Contact) -> None:
        """Record a query, one hop beyond the responder that reported its contact."""
        responder_id = self._responder_ids.get(contact.id)
        self._queries[contact.id] = {
            **contact_to_json(contact),
            "responder": None if responder_id is None else responder_id.hex(),
            "hop": 1 if responder_id is None else self._queries[responder_id]["hop"] + 1,
            "queried": self._elapsed(),
            "ended": None,
            "outcome": "left",
            "reported": 0,
            "new": 0,
        }

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        """Record a reply and the contacts that it reported first."""
        query = self._queries[contact.id]
        query["ended"], query["outcome"] = self._elapsed(), "answered"
        query["reported"] = len(contacts)
        for each in contacts:
            if each.id != self._node.id and each.id not in self._responder_ids:
                self._responder_ids[each.id] = contact.id
                query["new"] += 1

    def on_failure(self, contact: Contact) -> None:
        """Record a timeout or an invalid reply."""
        query = self._queries[contact.id]
        query["ended"], query["outcome"] = self._elapsed(), "failed"

    def on_finished(self) -> None:
        """Record the duration of the lookup."""
        self._duration = self._elapsed()

    def _elapsed(self) -> float:
        return round(self._clock() - self._started_at, 6)


class _FirstLookupTracer(Observer):
    """Traces the first lookup that the current greenlet starts."""

    def __init__(self, trace: LookupTrace) -> None:
        self._trace: LookupTrace | None = trace
        self._greenlet = getcurrent()

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Return the trace, but only for this greenlet: the node runs other lookups too."""
        if getcurrent() is not self._greenlet:
            return None
        trace, self._trace = self._trace, None
        return trace


@contextmanager
def trace_lookup(node: Node, clock: Callable[[], float]) -> Iterator[LookupTrace]:
    """Trace the first lookup of this greenlet in the block; ``clock`` is the node's clock."""
    trace = LookupTrace(node, clock)
    tracer = _FirstLookupTracer(trace)
    node.observe(tracer)
    try:
        yield trace
    finally:
        node.unobserve(tracer)
