"""Round-trip times, smoothed as RFC 6298 does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.routing.rtt import RoundTrip

times = st.floats(0, 100)


def test_an_unknown_path_gets_the_most_patience():
    assert RoundTrip().patience(0.05, 1.5) == 1.5


def test_the_first_sample():
    path = RoundTrip()
    path.sample(0.2)
    assert path.smoothed == 0.2
    assert path.deviation == 0.1
    assert path.patience(0.05, 1.5) == pytest.approx(0.4)


def test_the_second_sample_weighs_an_eighth_and_a_quarter():
    path = RoundTrip()
    path.sample(0.2)
    path.sample(0.6)
    assert path.smoothed == pytest.approx(7 / 8 * 0.2 + 1 / 8 * 0.6)
    assert path.deviation == pytest.approx(3 / 4 * 0.1 + 1 / 4 * 0.4)


def test_a_steady_path_needs_little_patience_and_a_jump_restores_it():
    path = RoundTrip()
    for _ in range(100):
        path.sample(0.1)
    assert path.patience(0.01, 1.5) == pytest.approx(0.1, abs=0.001)
    path.sample(1.0)
    assert path.patience(0.01, 1.5) > 0.6


@given(st.lists(times, min_size=1), times, times)
def test_patience_stays_within_its_bounds(samples, low, high):
    path = RoundTrip()
    for each in samples:
        path.sample(each)
    assert min(samples) - 1e-9 <= path.smoothed <= max(samples) + 1e-9
    assert path.deviation >= 0
    if low <= high:
        assert low <= path.patience(low, high) <= high
