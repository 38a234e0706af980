"""Histograms: what is up to each of their bounds."""

from __future__ import annotations

import math

from kademlua.core.histograms import Histogram, Timings


def test_a_histogram_counts_what_is_up_to_each_bound():
    histogram = Histogram((1, 2.5))
    for value in (0.5, 1, 2, 3, 4):
        histogram.note(value)
    assert histogram.buckets() == [(1, 2), (2.5, 3), (math.inf, 5)]
    assert (histogram.count, histogram.total) == (5, 10.5)


def test_timings_are_told_apart_by_rpc():
    timings = Timings()
    timings.round_trip("ping", 0.25)
    timings.round_trip("ping", 0.5)
    timings.round_trip("findnode", 1.0)
    timings.lookup("findnode", 2.0, 30)
    assert {name: each.total for name, each in timings.round_trips.items()} == {
        "ping": 0.75,
        "findnode": 1.0,
    }
    assert timings.lookups["findnode"].total == 2.0
    assert timings.queries["findnode"].buckets()[6:8] == [(20, 0), (30, 1)]
