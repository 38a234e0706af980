"""Sequence numbers: a node numbers its stores and removes, so that holders know the newest."""

from __future__ import annotations

from typing import Final

MAX_SEQUENCE: Final = (1 << 63) - 1
_MAX_LEAD: Final = 10 * 365 * 86_400 * 1_000_000
"""Microseconds by which a number that a peer names may be ahead of the clock: a liar must not
exhaust the numbers, and a clock that was years ahead must not block a node."""


class SequenceNumbers:
    """Increasing numbers for one node's stores and removes.

    They start at the wall clock in microseconds, so that they usually increase across restarts.
    If the clock was set back, holders refuse a store and name the number that they have.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self, wall_clock: float) -> int:
        """Return a number higher than all before; ``wall_clock`` is in seconds since 1970."""
        self._last = max(self._last + 1, int(wall_clock * 1e6))
        return self._last

    def observe(self, seq: int, wall_clock: float) -> None:
        """Continue after a number that a holder has from this node."""
        if seq <= wall_clock * 1e6 + _MAX_LEAD:
            self._last = max(self._last, seq)
