"""A lookup as its node saw it go: whom it asked, who had told of them, and when."""

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
    """The id of who told of it first; None where the own table did."""
    hop: int
    sent_at: float
    """Seconds since the lookup began."""
    finished_at: float | None = None
    outcome: str = "left"
    contact_count: int = 0
    new_count: int = 0


class LookupTrace(LookupObserver):
    """What one lookup did."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        self._started_at = clock()
        self._duration: float | None = None
        self._referrer_ids: dict[bytes, bytes | None] = {}
        self._queries: dict[bytes, _Query] = {}

    def to_json(self) -> dict[str, Any]:
        """``node``, whose lookup it is, ``seconds``, and the ``queries`` in the order in which
        they were sent.

        Each has its contact, its ``teller``, an id or null, the ``hop``, from 1 on, when it was
        ``asked`` and ``on_finished``, in seconds since the beginning, its ``fate``, and of how many
        contacts it ``told``, and how many of them were ``new``. The fate is ``on_reply``,
        ``on_failure``, or ``left`` where there was no answer when the
        lookup ended.
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
        """The own table tells of these."""
        for each in contacts:
            self._referrer_ids.setdefault(each.id, None)

    def on_query(self, contact: Contact) -> None:
        """A query, one hop farther than who told of its contact."""
        referrer_id = self._referrer_ids.get(contact.id)
        hop = self._queries[referrer_id].hop + 1 if referrer_id is not None else 1
        self._queries[contact.id] = _Query(contact, referrer_id, hop, self._elapsed())

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        """An answer; of some contacts it is the first to tell."""
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
        """No answer, or nonsense."""
        query = self._queries[contact.id]
        query.finished_at, query.outcome = self._elapsed(), "failed"

    def on_finished(self) -> None:
        """It took so long."""
        self._duration = self._elapsed()

    def _elapsed(self) -> float:
        return round(self._clock() - self._started_at, 6)


class _FirstLookupTracer(Observer):
    """Has the lookup traced that this greenlet begins, the first one."""

    def __init__(self, trace: LookupTrace) -> None:
        self._trace: LookupTrace | None = trace
        self._greenlet = getcurrent()

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """The node may be about others at the same time."""
        if getcurrent() is not self._greenlet:
            return None
        trace, self._trace = self._trace, None
        return trace


@contextmanager
def trace_lookup(node: Node, clock: Callable[[], float]) -> Iterator[LookupTrace]:
    """The trace of the lookup that this greenlet does in here; ``clock`` is the node's."""
    trace = LookupTrace(node, clock)
    tracer = _FirstLookupTracer(trace)
    node.observe(tracer)
    try:
        yield trace
    finally:
        node.unobserve(tracer)
