"""Histograms: counts up to each bound."""

from __future__ import annotations

import math

from kademlua.core.histograms import Histogram, LatencyHistograms


def test_a_histogram_counts_what_is_up_to_each_bound():
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 3, 4):
        histogram.observe(value)
    assert histogram.cumulative_buckets() == [(1, 2), (2.5, 3), (math.inf, 5)]
    assert (histogram.count, histogram.total) == (5, 10.5)


def test_timings_are_told_apart_by_rpc():
    timings = LatencyHistograms()
    timings.observe_rtt("ping", 0.25)
    timings.observe_rtt("ping", 0.5)
    timings.observe_rtt("findnode", 1.0)
    timings.observe_lookup("findnode", 2.0, 30)
    assert {name: each.total for name, each in timings.rtts.items()} == {
        "ping": 0.75,
        "findnode": 1.0,
    }
    assert timings.lookup_times["findnode"].total == 2.0
    assert timings.lookup_queries["findnode"].cumulative_buckets()[6:8] == [(20, 0), (30, 1)]
