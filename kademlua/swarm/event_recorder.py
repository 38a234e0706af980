"""Telling: what happens among the nodes of one process, within bounds, while somebody listens."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import gevent

from kademlua.core.contact import Contact
from kademlua.node.node import Node
from kademlua.runtime.lookup_events import LookupEvents
from kademlua.runtime.observers import LookupObserver, Observer
from kademlua.swarm.plan import Event

_QUEUE = 5_000
"""Events that wait to be taken, at most."""
_AT_ONCE = 50
"""Nodes whose counters are read in a turn of the loop: each takes some 20 µs."""
_ASKED = ("find_node", "find_value", "store", "remove")
"""Causes of lookups that a program asked for; all others are upkeep."""
_KEPT_FREE = 0.7
"""The share of those told in a second that upkeep leaves to others."""
_COUNTED = ("packets_in", "packets_out")


class Teller:
    """Writes down what happens among nodes; lookups only while it watches."""

    def __init__(self) -> None:
        self.skipped = 0
        """Events and lookups that were not written down."""
        self._queue: deque[Event] = deque()
        self._ears: dict[Node, _Ear] = {}
        self._told = self._left = 0
        self._numbers = 0
        self._lookups = 0
        self._gone: Counter[str] = Counter()
        self._watches = False

    # The nodes.

    def attend(self, node: Node) -> None:
        """A node is there."""
        self._ears[node] = _Ear(self, node.id.hex())
        if self._watches:
            node.observe(self._ears[node])

    def leave(self, node: Node) -> None:
        """A node is about to go; what it counted stays."""
        ear = self._ears.pop(node, None)
        if ear is not None:
            node.unobserve(ear)
            stats = node.stats()
            self._gone.update({name: stats[name] for name in _COUNTED})

    def watch(self, told: int) -> None:
        """Tell of lookups from now on, of so many a second at most."""
        self._told = self._left = told
        if not self._watches:
            self._watches = True
            for node, ear in self._ears.items():
                node.observe(ear)

    def unwatch(self) -> None:
        """Tell of no more lookups: the nodes cost what they cost before."""
        self._watches = False
        for node, ear in self._ears.items():
            node.unobserve(ear)

    @property
    def watches(self) -> bool:
        """Whether it tells of lookups."""
        return self._watches

    # What is told.

    def announce(self, name: str, data: dict[str, Any]) -> None:
        """Write an event down that must not be lost."""
        self._queue.append((name, data))

    def note(self, name: str, data: dict[str, Any]) -> None:
        """Write an event down, if it still fits."""
        if len(self._queue) < _QUEUE:
            self._queue.append((name, data))
        else:
            self.skipped += 1

    def take(self) -> list[Event]:
        """All that was written down since the last time."""
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def totals(self) -> dict[str, int]:
        """Packets, lookups and values of all the nodes, counted since the first one began, and
        another second begins for lookups. Gives way to others now and then."""
        self._left = self._told
        sums = Counter(self._gone)
        values = 0
        for number, node in enumerate(list(self._ears), 1):
            if number % _AT_ONCE == 0:
                gevent.sleep(0)
            if node in self._ears:
                stats = node.stats()
                sums.update({name: stats[name] for name in _COUNTED})
                values += len(node.datastore)
        return {
            **{name: sums[name] for name in _COUNTED},
            "lookups": self._lookups,
            "values": values,
            "skipped": self.skipped,
        }

    def lookup_began(
        self, origin: str, name: str, target: bytes, cause: str
    ) -> LookupObserver | None:
        """Who is to watch a lookup of the node ``origin``, if it is told at all."""
        self._lookups += 1
        if self._left <= (0 if cause in _ASKED else self._told * _KEPT_FREE):
            self.skipped += 1
            return None
        self._left -= 1
        self._numbers += 1
        events = _Lookup(self.note, self._numbers)
        events.begin(name, target, cause, node=origin)
        return events


class _Ear(Observer):
    """Watches one node for a teller."""

    def __init__(self, teller: Teller, node_id: str) -> None:
        self._teller = teller
        self._node_id = node_id

    def lookup_began(self, name: str, target: bytes, cause: str) -> LookupObserver | None:
        """Told within bounds."""
        return self._teller.lookup_began(self._node_id, name, target, cause)


class _Lookup(LookupEvents):
    """Tells of each node once only, by whom it was named first: a tenth of the text."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._named: set[int] = set()

    def seeded(self, contacts: list[Contact]) -> None:
        self._named.update(each.number for each in contacts)

    def answered(self, contact: Contact, told: list[Contact]) -> None:
        super().answered(contact, list(self._unnamed(told)))

    def _unnamed(self, told: list[Contact]) -> Iterable[Contact]:
        for each in told:
            if each.number not in self._named:
                self._named.add(each.number)
                yield each
