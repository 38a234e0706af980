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


# Replies to requests that were sent again.


def resend_until_steady(path: RttEstimator, rtt: float, count: int = 40) -> float:
    """Let replies take ``rtt`` seconds, with a retransmission when the RTO is shorter; return the
    last RTO."""
    rto = 0.0
    for _ in range(count):
        rto = path.rto(0.001, 1.5)
        path.add_sample(rtt, resent_after=rto if rto < rtt else 0.0)
    return rto


@pytest.mark.parametrize("rtt", [0.11, 0.15, 0.2, 0.4, 0.8, 1.3])
def test_rto_reaches_a_round_trip_that_became_longer(rtt: float) -> None:
    path = RttEstimator()
    for _ in range(40):
        path.add_sample(0.1)
    assert resend_until_steady(path, rtt) == pytest.approx(rtt, rel=0.5)
    assert path.rto(0.001, 1.5) >= rtt
    assert path.srtt == pytest.approx(rtt, rel=0.25)


def test_late_first_reply_counts_from_the_first_request() -> None:
    path = RttEstimator()
    path.add_sample(0.152, resent_after=0.15)
    assert path.srtt == 0.152  # not 2 ms


def test_lost_requests_do_not_change_the_estimate() -> None:
    path = RttEstimator()
    for _ in range(40):
        path.add_sample(0.1)
    for _ in range(20):
        rto = path.rto(0.001, 1.5)
        path.add_sample(0.1 + rto, resent_after=rto)
        for _ in range(5):
            path.add_sample(0.1)
    assert path.srtt == pytest.approx(0.1, rel=0.05)
    assert path.rto(0.001, 1.5) < 0.15


@given(st.lists(times, min_size=1), times, times)
def test_rto_stays_within_its_limits(samples, low, high):
    path = RttEstimator()
    for each in samples:
        path.add_sample(each)
    assert min(samples) - 1e-9 <= path.srtt <= max(samples) + 1e-9
    assert path.rttvar >= 0
    if low <= high:
        assert low <= path.rto(low, high) <= high
