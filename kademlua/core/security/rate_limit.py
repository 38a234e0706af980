"""Rate limiters: operations per second, in total or by source.

The state of a limiter is one number, the time at which it will be full again (generic cell rate
algorithm, ITU-T I.371, which is equivalent to a token bucket).
"""

from __future__ import annotations

from collections.abc import Hashable


class RateLimiter:
    """Allows ``rate`` operations per second, and bursts of ``burst``."""

    __slots__ = ("_interval", "_tat", "_tolerance")

    def __init__(self, rate: float, burst: float) -> None:
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate + 1e-9
        self._tat = 0.0

    def try_acquire(self, now: float) -> bool:
        """Count an operation and return True, or return False if the limit is reached."""
        tat = max(self._tat, now)
        if tat - now > self._tolerance:
            return False
        self._tat = tat + self._interval
        return True


class KeyedRateLimiter:
    """A limiter for each source, for at most ``max_sources`` sources."""

    __slots__ = ("_interval", "_max_sources", "_tat", "_tolerance")

    def __init__(self, rate: float, burst: float, max_sources: int) -> None:
        self._interval = 1 / rate
        self._tolerance = (burst - 1) / rate + 1e-9
        self._max_sources = max_sources
        self._tat: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._tat)

    def try_acquire(self, source: Hashable, now: float) -> bool:
        """Count an operation of a source and return True, or return False at its limit."""
        tat = self._tat.get(source)
        if tat is None:
            if len(self._tat) >= self._max_sources:
                self._evict(now)
            tat = now
        elif tat < now:
            tat = now
        if tat - now > self._tolerance:
            return False
        self._tat[source] = tat + self._interval
        return True

    def _evict(self, now: float) -> None:
        """Forget full limiters, which equal new ones, and the fuller half of the rest if needed."""
        remaining = {source: at for source, at in self._tat.items() if at > now}
        if len(remaining) > self._max_sources // 2:
            rows = sorted(remaining.items(), key=lambda row: row[1])
            remaining = dict(rows[len(rows) - self._max_sources // 2 :])
        self._tat = remaining
