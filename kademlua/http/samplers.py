"""Samplers for metrics: hops of lookups, and lag of the event loop."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from kademlua.core.contact import Contact
from kademlua.core.histograms import Histogram
from kademlua.core.ids import to_int
from kademlua.node.node import Node
from kademlua.runtime.observers import LookupObserver, Observer
from kademlua.runtime.timer import Timer

HOP_BOUNDS = (1, 2, 3, 4, 5, 6, 8, 10, 15)
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TICK_SECONDS = 0.1
_RECENT_TICKS = 100


class HopSampler(Observer):
    """Counts the hops of single lookups; tracing all lookups would slow the node."""

    def __init__(self, node: Node) -> None:
        self.histogram = Histogram(HOP_BOUNDS)
        self._node = node
        self._is_waiting = False

    def sample_next(self) -> None:
        """Observe the next lookup."""
        if not self._is_waiting:
            self._is_waiting = True
            self._node.observe(self)

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """Observe this lookup and no later one."""
        self.close()
        return _HopObserver(to_int(target), self.histogram)

    def close(self) -> None:
        """Stop observing; idempotent."""
        self._is_waiting = False
        self._node.unobserve(self)


class _HopObserver(LookupObserver):
    """Counts the hops from the routing table to the closest node that replied."""

    def __init__(self, target: int, histogram: Histogram) -> None:
        self._target = target
        self._histogram = histogram
        self._depths: dict[int, int] = {}
        self._min_distance: float = math.inf
        self._hops_to_nearest = 0

    def on_seeded(self, contacts: list[Contact]) -> None:
        self._depths = {each.id_int: 1 for each in contacts}

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        depth = self._depths.get(contact.id_int, 1)
        for each in contacts:
            self._depths.setdefault(each.id_int, depth + 1)
        distance = contact.id_int ^ self._target
        if distance < self._min_distance:
            self._min_distance, self._hops_to_nearest = distance, depth

    def on_finished(self) -> None:
        if self._hops_to_nearest:
            self._histogram.observe(self._hops_to_nearest)


class LoopLagSampler:
    """Measures the lag of the event loop, which also delays packets."""

    def __init__(self, on_tick: Callable[[], None]) -> None:
        """Create a sampler that calls ``on_tick`` every 0.1 seconds."""
        self.histogram = Histogram(LAG_BOUNDS)
        self._on_tick = on_tick
        self._timer = Timer(self._tick)
        self._last_tick_at = 0.0
        self._recent: deque[float] = deque(maxlen=_RECENT_TICKS)

    @property
    def recent_lag(self) -> float:
        """The lag in seconds that nine of ten samples of the last ten seconds did not exceed."""
        ordered = sorted(self._recent)
        return ordered[len(ordered) * 9 // 10] if ordered else 0.0

    def start(self) -> None:
        """Start to measure."""
        self._last_tick_at = time.monotonic()
        self._timer.start(_TICK_SECONDS)

    def close(self) -> None:
        """Stop measuring; idempotent."""
        self._timer.stop()

    def _tick(self) -> None:
        self._timer.start(_TICK_SECONDS)
        now = time.monotonic()
        lag = max(now - self._last_tick_at - _TICK_SECONDS, 0.0)
        self.histogram.observe(lag)
        self._recent.append(lag)
        self._last_tick_at = now
        self._on_tick()
