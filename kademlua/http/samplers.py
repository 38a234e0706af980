"""What metrics have to see as it happens: hops of lookups, and how late the loop is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import gevent

from kademlua.core.contact import Contact
from kademlua.core.histograms import Histogram
from kademlua.core.ids import to_int
from kademlua.node.node import Node
from kademlua.runtime.observers import LookupObserver, Observer

HOPS = (1, 2, 3, 4, 5, 6, 8, 10, 15)
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TICK = 0.1


class HopSamples(Observer):
    """The hops of one lookup now and then: to watch all of them would be dear."""

    def __init__(self, node: Node) -> None:
        self.histogram = Histogram(HOPS)
        self._node = node
        self._is_waiting = False

    def watch_next(self) -> None:
        """Watch the next lookup that begins."""
        if not self._is_waiting:
            self._is_waiting = True
            self._node.observe(self)

    def lookup_began(self, name: str, target: bytes, cause: str) -> LookupObserver | None:
        """Watch this one, and none after it."""
        self.close()
        return _Hops(to_int(target), self.histogram)

    def close(self) -> None:
        """Watch no more; idempotent."""
        self._is_waiting = False
        self._node.unobserve(self)


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

    def __init__(self, each_tick: Callable[[], None]) -> None:
        """``each_tick`` is called ten times a second."""
        self.histogram = Histogram(LAGS)
        self._each_tick = each_tick
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
        self._each_tick()
