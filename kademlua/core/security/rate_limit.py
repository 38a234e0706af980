"""Token buckets: how many of something may happen in a second, overall or by source.

A bucket is one number: the time at which it will be full again. (The generic cell rate
algorithm, ITU-T I.371; it counts as a bucket of tokens does.)
"""

from __future__ import annotations

from collections.abc import Hashable


class TokenBucket:
    """``rate`` tokens a second, ``burst`` of them at most."""

    __slots__ = ("_full_at", "_slack", "_step")

    def __init__(self, rate: float, burst: float) -> None:
        self._step = 1 / rate
        self._slack = (burst - 1) / rate + 1e-9
        self._full_at = 0.0

    def take(self, now: float) -> bool:
        """Take one token; False where there is none."""
        full_at = max(self._full_at, now)
        if full_at - now > self._slack:
            return False
        self._full_at = full_at + self._step
        return True


class TokenBuckets:
    """A bucket for each source, of ``limit`` sources at most."""

    __slots__ = ("_full_at", "_limit", "_slack", "_step")

    def __init__(self, rate: float, burst: float, limit: int) -> None:
        self._step = 1 / rate
        self._slack = (burst - 1) / rate + 1e-9
        self._limit = limit
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, source: Hashable, now: float) -> bool:
        """Take one token of this source's; False where there is none."""
        full_at = self._full_at.get(source)
        if full_at is None:
            if len(self._full_at) >= self._limit:
                self._make_room(now)
            full_at = now
        elif full_at < now:
            full_at = now
        if full_at - now > self._slack:
            return False
        self._full_at[source] = full_at + self._step
        return True

    def _make_room(self, now: float) -> None:
        """Forget the full ones, which are as good as new; if need be the fuller half of the
        others: who has taken the most is remembered."""
        left = {source: at for source, at in self._full_at.items() if at > now}
        if len(left) > self._limit // 2:
            rows = sorted(left.items(), key=lambda row: row[1])
            left = dict(rows[len(rows) - self._limit // 2 :])
        self._full_at = left
