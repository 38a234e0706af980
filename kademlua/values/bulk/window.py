"""Window: how many items are in flight, by what the network and the holders can take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_FIRST: Final = 4.0
_SLOW_FACTOR: Final = 2.0
_SLOW_SECONDS: Final = 0.5
"""An item is slow if it takes longer than twice the quickest one and this."""


@dataclass(frozen=True, slots=True)
class Flight:
    """An item in flight."""

    number: int
    started_at: float


class Window:
    """Grows while items arrive in time, and halves when one is late: AIMD, as TCP (RFC 5681).

    Several late items that were in flight together count once.
    """

    __slots__ = ("_clock", "_halved_at", "_maximum", "_quickest", "_size", "_started", "_threshold")

    def __init__(self, maximum: int, clock: Callable[[], float]) -> None:
        """Begin with a few items; at most ``maximum`` are in flight."""
        self._clock = clock
        self._maximum = float(maximum)
        self._size = min(_FIRST, self._maximum)
        self._threshold = self._maximum
        """The size above which the window grows slowly."""
        self._quickest = math.inf
        """Seconds of the quickest item."""
        self._started = 0
        self._halved_at = 0
        """The number of items that had started when the window was halved last."""

    @property
    def size(self) -> int:
        """The number of items that may be in flight, at least 1."""
        return int(self._size)

    def begin(self) -> Flight:
        """Count an item that starts."""
        self._started += 1
        return Flight(self._started, self._clock())

    def end(self, flight: Flight, *, is_lost: bool = False) -> None:
        """Adapt to an item that has ended, ``is_lost`` if a reply to it never came."""
        seconds = self._clock() - flight.started_at
        self._quickest = min(self._quickest, seconds)
        if is_lost or seconds > _SLOW_FACTOR * self._quickest + _SLOW_SECONDS:
            if flight.number > self._halved_at:
                self._halved_at = self._started
                self._size = self._threshold = max(1.0, self._size / 2)
        elif self._size < self._threshold:
            self._size = min(self._size + 1, self._maximum)
        else:
            self._size = min(self._size + 1 / self._size, self._maximum)
