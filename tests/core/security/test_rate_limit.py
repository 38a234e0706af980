"""Token buckets: rate, burst, and limited memory per source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.security.rate_limit import KeyedRateLimiter, RateLimiter


def taken(bucket: RateLimiter, now: float, tries: int) -> int:
    return sum(bucket.try_acquire(now) for _ in range(tries))


def test_a_burst_and_then_the_rate() -> None:
    bucket = RateLimiter(rate=10, burst=25)
    assert taken(bucket, 1000.0, 100) == 25
    assert taken(bucket, 1000.05, 100) == 0
    assert taken(bucket, 1000.1, 100) == 1
    assert taken(bucket, 1001.1, 100) == 10
    assert taken(bucket, 2000.0, 100) == 25


@given(
    st.floats(0.1, 1e6),
    st.floats(1, 1e3),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 50)), max_size=20),
)
def test_never_more_than_burst_and_rate_allow(
    rate: float, burst: float, steps: list[tuple[float, int]]
) -> None:
    bucket, now, count = RateLimiter(rate, burst), 0.0, 0
    for pause, tries in steps:
        now += pause
        count += taken(bucket, now, tries)
        assert count <= (burst + rate * now) * (1 + 1e-6) + 1e-6


def test_sources_are_limited_independently() -> None:
    buckets = KeyedRateLimiter(rate=1, burst=3, max_sources=100)
    assert [buckets.try_acquire("a", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert buckets.try_acquire("b", 0.0)
    assert buckets.try_acquire("a", 1.0)


def test_heaviest_sources_are_remembered_in_limited_memory() -> None:
    buckets = KeyedRateLimiter(rate=1, burst=10, max_sources=64)
    while buckets.try_acquire("flood", 0.0):
        pass
    for number in range(10_000):
        assert buckets.try_acquire(number, 0.0)
        assert len(buckets) <= 64
    assert not buckets.try_acquire("flood", 0.5)


@pytest.mark.parametrize("seconds", [20, 2_000])
def test_full_buckets_need_no_memory(seconds: float) -> None:
    buckets = KeyedRateLimiter(rate=1, burst=10, max_sources=64)
    for number in range(64):
        buckets.try_acquire(number, 0.0)
    buckets.try_acquire("one more", seconds)
    assert len(buckets) == 1
