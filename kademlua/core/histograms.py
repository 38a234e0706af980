"""Timings: how long answers and lookups take, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

ROUND_TRIPS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
LOOKUPS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
QUERIES = (1, 2, 3, 5, 8, 13, 20, 30, 50, 100)


class Histogram:
    """Counts of what was up to each of the bounds, and the sum of it all."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bucket; what is over the last bound comes last."""
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value: 0.1 µs."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def buckets(self) -> list[tuple[float, int]]:
        """Upper bounds, the last one infinite, and how many were no larger."""
        bounds = [*self._bounds, float("inf")]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class Timings:
    """Histograms of one node; times in seconds."""

    __slots__ = ("lookups", "queries", "round_trips")

    def __init__(self) -> None:
        self.round_trips: dict[str, Histogram] = {}
        """From a call to its answer, by RPC."""
        self.lookups: dict[str, Histogram] = {}
        """From a lookup's beginning to its end, by RPC; those that upkeep has run side by side
        are left out."""
        self.queries: dict[str, Histogram] = {}
        """Calls that such a lookup took, by RPC."""

    def round_trip(self, name: str, seconds: float) -> None:
        """An RPC was answered after so long."""
        try:
            histogram = self.round_trips[name]
        except KeyError:
            histogram = self.round_trips[name] = Histogram(ROUND_TRIPS)
        # As Histogram.note: the one call that this saves is a third of the whole.
        histogram.counts[bisect_left(ROUND_TRIPS, seconds)] += 1
        histogram.total += seconds

    def lookup(self, name: str, seconds: float, queries: int) -> None:
        """A lookup by an RPC took so long, and so many calls."""
        histogram = self.lookups.get(name)
        if histogram is None:
            histogram = self.lookups[name] = Histogram(LOOKUPS)
            self.queries[name] = Histogram(QUERIES)
        histogram.note(seconds)
        self.queries[name].note(queries)
