"""Rate limiters: what operations cost per second, in total or by source.

The state of a limiter is one number, the time at which it will be full again (generic cell rate
algorithm, ITU-T I.371, which is equivalent to a token bucket). The unit of costs is the caller's:
operations, bytes, seconds. An operation that costs more than a whole burst is allowed when nothing
was used before; what it takes too much is missing later.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

_TOLERANCE: Final = 1e-9
"""Seconds by which sums of costs may be wrong, since floats are rounded."""


class RateLimiter:
    """Allows costs of ``rate`` per second, and bursts of ``burst``."""

    __slots__ = ("_burst_seconds", "_interval", "_tat")

    def __init__(self, rate: float, burst: float) -> None:
        self._interval = 1 / rate
        self._burst_seconds = burst / rate + _TOLERANCE
        self._tat = 0.0

    def try_acquire(self, now: float, cost: float = 1.0) -> bool:
        """Count an operation and return True, or return False if the limit is reached."""
        tat = max(self._tat, now) + self._interval * cost
        if tat - now > self._burst_seconds and self._tat > now:
            return False
        self._tat = tat
        return True

    def charge(self, now: float, cost: float) -> None:
        """Count what an operation cost in addition, even beyond the limit."""
        self._tat = max(self._tat, now) + self._interval * cost


class KeyedRateLimiter:
    """A limiter for each source, for at most ``max_sources`` sources."""

    __slots__ = ("_burst_seconds", "_interval", "_max_sources", "_tat")

    def __init__(self, rate: float, burst: float, max_sources: int) -> None:
        self._interval = 1 / rate
        self._burst_seconds = burst / rate + _TOLERANCE
        self._max_sources = max_sources
        self._tat: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._tat)

    def try_acquire(self, source: Hashable, now: float, cost: float = 1.0) -> bool:
        """Count an operation of a source and return True, or return False at its limit."""
        tat = self._tat.get(source)
        if tat is None or tat < now:
            if tat is None and len(self._tat) >= self._max_sources:
                self._evict(now)
            tat = now
        elif tat - now + self._interval * cost > self._burst_seconds and tat > now:
            return False
        self._tat[source] = tat + self._interval * cost
        return True

    def charge(self, source: Hashable, now: float, cost: float) -> None:
        """Count what an operation of a source cost in addition, even beyond the limit."""
        tat = self._tat.get(source)
        if tat is not None:  # None: evicted meanwhile
            self._tat[source] = max(tat, now) + self._interval * cost

    def _evict(self, now: float) -> None:
        """Forget full limiters, which equal new ones, and the fuller half of the rest if needed."""
        remaining = {source: at for source, at in self._tat.items() if at > now}
        if len(remaining) > self._max_sources // 2:
            rows = sorted(remaining.items(), key=lambda row: row[1])
            remaining = dict(rows[len(rows) - self._max_sources // 2 :])
        self._tat = remaining
