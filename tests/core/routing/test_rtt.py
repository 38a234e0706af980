"""Smoothed round-trip times and RTO (RFC 6298)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.routing.rtt import RttEstimator

times = st.floats(0, 100)


def test_unknown_path_has_maximum_rto():
    assert RttEstimator().rto(0.05, 1.5) == 1.5


def test_first_sample_sets_the_estimate():
    path = RttEstimator()
    path.add_sample(0.2)
    assert path.srtt == 0.2
    assert path.rttvar == 0.1
    assert path.rto(0.05, 1.5) == pytest.approx(0.4)


def test_second_sample_has_weight_one_eighth_and_one_quarter():
    path = RttEstimator()
    path.add_sample(0.2)
    path.add_sample(0.6)
    assert path.srtt == pytest.approx(7 / 8 * 0.2 + 1 / 8 * 0.6)
    assert path.rttvar == pytest.approx(3 / 4 * 0.1 + 1 / 4 * 0.4)


def test_steady_path_has_low_rto_until_rtt_jumps():
    path = RttEstimator()
    for _ in range(100):
        path.add_sample(0.1)
    assert path.rto(0.01, 1.5) == pytest.approx(0.1, abs=0.001)
    path.add_sample(1.0)
    assert path.rto(0.01, 1.5) > 0.6


@given(st.lists(times, min_size=1), times, times)
def test_rto_stays_within_its_limits(samples, low, high):
    path = RttEstimator()
    for each in samples:
        path.add_sample(each)
    assert min(samples) - 1e-9 <= path.srtt <= max(samples) + 1e-9
    assert path.rttvar >= 0
    if low <= high:
        assert low <= path.rto(low, high) <= high
