"""Timings: how long answers and lookups take, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

RTT_BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
LOOKUP_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
QUERY_BOUNDS = (1, 2, 3, 5, 8, 13, 20, 30, 50, 100)


class Histogram:
    """Counts of what was up to each of the bounds, and the sum of it all."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bucket; what is over the last bound comes last."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value: 0.1 µs."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def cumulative_buckets(self) -> list[tuple[float, int]]:
        """Upper bounds, the last one infinite, and how many were no larger."""
        bounds = [*self._bounds, float("inf")]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class LatencyHistograms:
    """Histograms of one node; times in seconds."""

    __slots__ = ("lookup_queries", "lookup_times", "rtts")

    def __init__(self) -> None:
        self.rtts: dict[str, Histogram] = {}
        """From a call to its answer, by RPC."""
        self.lookup_times: dict[str, Histogram] = {}
        """From a lookup's beginning to its end, by RPC; those that upkeep has run side by side
        are left out."""
        self.lookup_queries: dict[str, Histogram] = {}
        """Calls that such a lookup took, by RPC."""

    def observe_rtt(self, name: str, seconds: float) -> None:
        """An RPC was answered after so long."""
        try:
            histogram = self.rtts[name]
        except KeyError:
            histogram = self.rtts[name] = Histogram(RTT_BOUNDS)
        # As Histogram.note: the one call that this saves is a third of the whole.
        histogram.counts[bisect_left(RTT_BOUNDS, seconds)] += 1
        histogram.total += seconds

    def observe_lookup(self, name: str, seconds: float, queries: int) -> None:
        """A lookup by an RPC took so long, and so many calls."""
        histogram = self.lookup_times.get(name)
        if histogram is None:
            histogram = self.lookup_times[name] = Histogram(LOOKUP_BOUNDS)
            self.lookup_queries[name] = Histogram(QUERY_BOUNDS)
        histogram.observe(seconds)
        self.lookup_queries[name].observe(queries)
