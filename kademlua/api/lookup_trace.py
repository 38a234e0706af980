"""The trace of one lookup: the queried nodes, their referrers, and the times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gevent import getcurrent

from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_to_json
from kademlua.node.node import Node
from kademlua.runtime.observers import LookupObserver, Observer


@dataclass(slots=True)
class _Query:
    contact: Contact
    referrer_id: bytes | None
    """Id of the first node that returned this contact; None for the routing table."""
    hop: int
    sent_at: float
    """Seconds since the start of the lookup."""
    finished_at: float | None = None
    outcome: str = "left"
    contact_count: int = 0
    new_count: int = 0


class LookupTrace(LookupObserver):
    """Records the queries of one lookup."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        self._started_at = clock()
        self._duration: float | None = None
        self._referrer_ids: dict[bytes, bytes | None] = {}
        self._queries: dict[bytes, _Query] = {}

    def to_json(self) -> dict[str, Any]:
        """Return the ``node``, the duration in ``seconds`` and the ``queries`` in sending order.

        Each query has a contact, its referrer ``teller`` (an id or null), its ``hop`` from 1, and
        the times ``asked`` and ``ended`` in seconds since the start. ``told`` counts the returned
        contacts and ``new`` the unknown ones among them. ``fate`` is ``answered``, ``failed``, or
        ``left`` if no reply arrived before the lookup ended.
        """
        return {
            "node": contact_to_json(self._node.contact),
            "seconds": self._elapsed() if self._duration is None else self._duration,
            "queries": [
                contact_to_json(each.contact)
                | {
                    "teller": each.referrer_id.hex() if each.referrer_id is not None else None,
                    "hop": each.hop,
                    "asked": each.sent_at,
                    "ended": each.finished_at,
                    "fate": each.outcome,
                    "told": each.contact_count,
                    "new": each.new_count,
                }
                for each in self._queries.values()
            ],
        }

    def on_seeded(self, contacts: list[Contact]) -> None:
        """Record the contacts from the routing table."""
        for each in contacts:
            self._referrer_ids.setdefault(each.id, None)

    def on_query(self, contact: Contact) -> None:
        """Record a query, one hop beyond the referrer of its contact."""
        referrer_id = self._referrer_ids.get(contact.id)
        hop = self._queries[referrer_id].hop + 1 if referrer_id is not None else 1
        self._queries[contact.id] = _Query(contact, referrer_id, hop, self._elapsed())

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        """Record a reply and the contacts that it returned first."""
        query = self._queries[contact.id]
        query.finished_at, query.outcome, query.contact_count = (
            self._elapsed(),
            "answered",
            len(contacts),
        )
        for each in contacts:
            if each.id != self._node.id and each.id not in self._referrer_ids:
                self._referrer_ids[each.id] = contact.id
                query.new_count += 1

    def on_failure(self, contact: Contact) -> None:
        """Record a timeout or an invalid reply."""
        query = self._queries[contact.id]
        query.finished_at, query.outcome = self._elapsed(), "failed"

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
