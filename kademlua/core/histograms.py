"""Latency histograms: round trips and lookups, counted in buckets."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

RTT_BOUNDS = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
LOOKUP_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
QUERY_BOUNDS = (1, 2, 3, 5, 8, 13, 20, 30, 50, 100)


class Histogram:
    """Counts of values up to each bound, and their sum."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Counts by bucket; the last one holds values over the last bound."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self.counts)

    def cumulative_buckets(self) -> list[tuple[float, int]]:
        """Return the upper bounds, the last one infinite, and the number of values up to each."""
        bounds = [*self._bounds, float("inf")]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class LatencyHistograms:
    """Histograms of one node, in seconds."""

    __slots__ = ("lookup_queries", "lookup_times", "rtts")

    def __init__(self) -> None:
        self.rtts: dict[str, Histogram] = {}
        """Round-trip times, by RPC."""
        self.lookup_times: dict[str, Histogram] = {}
        """Durations of lookups, by RPC; without those that maintenance runs concurrently."""
        self.lookup_queries: dict[str, Histogram] = {}
        """Queries of such a lookup, by RPC."""

    def observe_rtt(self, name: str, seconds: float) -> None:
        """Count a round trip of an RPC."""
        try:
            histogram = self.rtts[name]
        except KeyError:
            histogram = self.rtts[name] = Histogram(RTT_BOUNDS)
        # Histogram.observe, inlined: this runs for each reply.
        histogram.counts[bisect_left(RTT_BOUNDS, seconds)] += 1
        histogram.total += seconds

    def observe_lookup(self, name: str, seconds: float, queries: int) -> None:
        """Count a lookup, with its duration and its number of queries."""
        histogram = self.lookup_times.get(name)
        if histogram is None:
            histogram = self.lookup_times[name] = Histogram(LOOKUP_BOUNDS)
            self.lookup_queries[name] = Histogram(QUERY_BOUNDS)
        histogram.observe(seconds)
        self.lookup_queries[name].observe(queries)
