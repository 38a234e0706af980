"""What metrics have to see as it happens: round trips, lookups, and how late the loop is."""

from __future__ import annotations

import math
import time
from typing import Any

import gevent

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.http.histogram import Histogram
from kademlua.observers import LookupObserver, Observer

ROUND_TRIPS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
LOOKUPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
HOPS = (1, 2, 3, 4, 5, 6, 8, 10, 15)
QUERIES = (1, 2, 3, 5, 8, 13, 20, 30, 50, 100)
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_WATCHED = 8
"""Of so many lookups one is watched query by query, for its hops."""
_TICK = 0.1


class Timings(Observer):
    """Histograms of one node."""

    def __init__(self) -> None:
        self.round_trips: dict[str, Histogram] = {}
        """By RPC, in seconds."""
        self.lookups: dict[str, Histogram] = {}
        """By RPC, in seconds."""
        self.queries: dict[str, Histogram] = {}
        """Queries that a lookup took, by RPC."""
        self.hops = Histogram(HOPS)
        self._began = 0

    def round_trip(self, name: str, seconds: float) -> None:
        """Count it."""
        histogram = self.round_trips.get(name)
        if histogram is None:
            histogram = self.round_trips[name] = Histogram(ROUND_TRIPS)
        histogram.note(seconds)

    def lookup_began(self, name: str, target: bytes, cause: str) -> LookupObserver | None:
        """Watch some of them closer."""
        self._began += 1
        return _Hops(to_int(target), self.hops) if self._began % _WATCHED == 0 else None

    def lookup_ended(self, name: str, cause: str, seconds: float, queries: int) -> None:
        """Count it."""
        if name not in self.lookups:
            self.lookups[name], self.queries[name] = Histogram(LOOKUPS), Histogram(QUERIES)
        self.lookups[name].note(seconds)
        self.queries[name].note(queries)


class _Hops(LookupObserver):
    """By way of how many nodes one lookup came as near to its target as it came."""

    def __init__(self, target: int, histogram: Histogram) -> None:
        self._target = target
        self._histogram = histogram
        self._depths: dict[int, int] = {}
        self._nearest: float = math.inf
        self._hops = 0

    def seeded(self, contacts: list[Contact]) -> None:
        self._depths = {each.number: 1 for each in contacts}

    def answered(self, contact: Contact, told: list[Contact]) -> None:
        depth = self._depths.get(contact.number, 1)
        for each in told:
            self._depths.setdefault(each.number, depth + 1)
        distance = contact.number ^ self._target
        if distance < self._nearest:
            self._nearest, self._hops = distance, depth

    def ended(self) -> None:
        if self._hops:
            self._histogram.note(self._hops)


class LoopLag:
    """How late the loop comes to what is due: a node's packets wait as long."""

    def __init__(self) -> None:
        self.histogram = Histogram(LAGS)
        self._timer: Any = None
        self._last = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._last = time.monotonic()
        self._timer = gevent.get_hub().loop.timer(_TICK, _TICK)
        self._timer.start(self._tick)

    def close(self) -> None:
        """Measure no more; idempotent."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _tick(self) -> None:
        now = time.monotonic()
        self.histogram.note(max(now - self._last - _TICK, 0.0))
        self._last = now
