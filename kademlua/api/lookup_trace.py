"""A lookup as its node saw it go: whom it asked, who had told of them, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gevent import getcurrent

from kademlua.core.contact import Contact
from kademlua.core.json_codec import contact_json
from kademlua.node.node import Node
from kademlua.runtime.observers import LookupObserver, Observer


@dataclass(slots=True)
class _Query:
    contact: Contact
    teller: bytes | None
    """The id of who told of it first; None where the own table did."""
    hop: int
    asked: float
    """Seconds since the lookup began."""
    ended: float | None = None
    fate: str = "left"
    told: int = 0
    new: int = 0


class LookupTrace(LookupObserver):
    """What one lookup did."""

    def __init__(self, node: Node, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        self._began = clock()
        self._ended: float | None = None
        self._tellers: dict[bytes, bytes | None] = {}
        self._queries: dict[bytes, _Query] = {}

    def json(self) -> dict[str, Any]:
        """``node``, whose lookup it is, ``seconds``, and the ``queries`` in the order in which
        they were sent.

        Each has its contact, its ``teller``, an id or null, the ``hop``, from 1 on, when it was
        ``asked`` and ``ended``, in seconds since the beginning, its ``fate``, and of how many
        contacts it ``told``, and how many of them were ``new``. The fate is ``answered``,
        ``failed``, or ``left`` where there was no answer when the
        lookup ended.
        """
        return {
            "node": contact_json(self._node.contact),
            "seconds": self._seconds() if self._ended is None else self._ended,
            "queries": [
                contact_json(each.contact)
                | {
                    "teller": each.teller.hex() if each.teller is not None else None,
                    "hop": each.hop,
                    "asked": each.asked,
                    "ended": each.ended,
                    "fate": each.fate,
                    "told": each.told,
                    "new": each.new,
                }
                for each in self._queries.values()
            ],
        }

    def seeded(self, contacts: list[Contact]) -> None:
        """The own table tells of these."""
        for each in contacts:
            self._tellers.setdefault(each.id, None)

    def queried(self, contact: Contact) -> None:
        """A query, one hop farther than who told of its contact."""
        teller = self._tellers.get(contact.id)
        hop = self._queries[teller].hop + 1 if teller is not None else 1
        self._queries[contact.id] = _Query(contact, teller, hop, self._seconds())

    def answered(self, contact: Contact, told: list[Contact]) -> None:
        """An answer; of some contacts it is the first to tell."""
        query = self._queries[contact.id]
        query.ended, query.fate, query.told = self._seconds(), "answered", len(told)
        for each in told:
            if each.id != self._node.id and each.id not in self._tellers:
                self._tellers[each.id] = contact.id
                query.new += 1

    def failed(self, contact: Contact) -> None:
        """No answer, or nonsense."""
        query = self._queries[contact.id]
        query.ended, query.fate = self._seconds(), "failed"

    def ended(self) -> None:
        """It took so long."""
        self._ended = self._seconds()

    def _seconds(self) -> float:
        return round(self._clock() - self._began, 6)


class _Tracer(Observer):
    """Has the lookup traced that this greenlet begins, the first one."""

    def __init__(self, trace: LookupTrace) -> None:
        self._trace: LookupTrace | None = trace
        self._greenlet = getcurrent()

    def lookup_began(self, name: str, target: bytes, cause: str) -> LookupObserver | None:
        """The node may be about others at the same time."""
        if getcurrent() is not self._greenlet:
            return None
        trace, self._trace = self._trace, None
        return trace


@contextmanager
def traced(node: Node, clock: Callable[[], float]) -> Iterator[LookupTrace]:
    """The trace of the lookup that this greenlet does in here; ``clock`` is the node's."""
    trace = LookupTrace(node, clock)
    tracer = _Tracer(trace)
    node.observe(tracer)
    try:
        yield trace
    finally:
        node.unobserve(tracer)
