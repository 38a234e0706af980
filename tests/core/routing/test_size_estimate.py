"""Estimate of the network size, in networks of known size."""

from __future__ import annotations

import random
import statistics

import pytest

from kademlua.core.routing.size_estimate import NetworkSizeEstimator

K = 20


def nearest(ids: list[int], target: int) -> list[int]:
    return sorted(ids, key=target.__xor__)[:K]


def estimate(rng: random.Random, size: int, lookups: int) -> int:
    """What one node of a network makes of its table and so many perfect lookups."""
    ids = [rng.getrandbits(160) for _ in range(size)]
    own = ids.pop()
    sizes = NetworkSizeEstimator()
    for _ in range(lookups):
        target = rng.getrandbits(160)
        sizes.add_sample(10.0, target, nearest(ids, target))
    return sizes.estimate(own, nearest(ids, own), K, not_before=0.0)


@pytest.mark.parametrize("size", [100, 1000])
def test_table_alone_gives_the_size_in_the_median(size):
    rng = random.Random(size)
    ratios = [estimate(rng, size, 0) / size for _ in range(300)]
    assert 0.9 < statistics.median(ratios) < 1.1
    assert statistics.median(abs(ratio - 1) for ratio in ratios) < 0.25


@pytest.mark.parametrize("size", [100, 1000])
def test_estimate_from_lookups_is_within_a_quarter(size):
    rng = random.Random(size)
    ratios = [estimate(rng, size, 8) / size for _ in range(200)]
    assert 0.95 < statistics.median(ratios) < 1.05
    assert sum(0.75 < ratio < 1.25 for ratio in ratios) >= 190


@pytest.mark.parametrize("size", [1, 2, 10, K])
def test_a_small_network_is_counted(size):
    assert estimate(random.Random(size), size, 3) == size


def test_estimate_is_at_least_the_table_size():
    """All nodes at the far end: the density says little, the table more."""
    known = [(1 << 159) + number for number in range(K)]
    assert NetworkSizeEstimator().estimate(0, known, K, not_before=0.0) >= K + 1


def test_old_lookups_do_not_count():
    rng = random.Random(1)
    sizes = NetworkSizeEstimator()
    few = [rng.getrandbits(160) for _ in range(100)]
    many = [rng.getrandbits(160) for _ in range(10_000)]
    for _ in range(8):
        target = rng.getrandbits(160)
        sizes.add_sample(10.0, target, nearest(few, target))
    own = rng.getrandbits(160)
    alone = NetworkSizeEstimator().estimate(own, nearest(many, own), K, not_before=0.0)
    assert sizes.estimate(own, nearest(many, own), K, not_before=11.0) == alone
    assert sizes.estimate(own, nearest(many, own), K, not_before=10.0) < alone / 4


def test_the_newest_lookups_push_out_the_oldest():
    rng = random.Random(2)
    sizes = NetworkSizeEstimator()
    few = [rng.getrandbits(160) for _ in range(100)]
    many = [rng.getrandbits(160) for _ in range(10_000)]
    for ids in (few, many):  # the network grew
        for _ in range(16):
            target = rng.getrandbits(160)
            sizes.add_sample(10.0, target, nearest(ids, target))
    own = rng.getrandbits(160)
    assert 7_500 < sizes.estimate(own, nearest(many, own), K, not_before=0.0) < 12_500


def test_lookups_with_too_few_results_are_ignored():
    sizes = NetworkSizeEstimator()
    sizes.add_sample(0.0, 0, [])
    sizes.add_sample(0.0, 0, [7])
    known = [(number + 1) << 140 for number in range(K)]
    assert sizes.estimate(0, known, K, not_before=0.0) == NetworkSizeEstimator().estimate(
        0, known, K, not_before=0.0
    )


def test_an_absurd_neighbour_does_no_harm():
    assert NetworkSizeEstimator().estimate(5, [5] * K, K, not_before=0.0) > K


def median_error(size: int, lookups: int) -> float:
    """The typical error of the median of ``lookups`` lookups, as a part of the size."""
    rng = random.Random(size)
    errors = []
    for _ in range(200):
        ids = [rng.getrandbits(160) for _ in range(size)]
        sizes = NetworkSizeEstimator()
        for _ in range(lookups):
            target = rng.getrandbits(160)
            sizes.add_sample(10.0, target, nearest(ids, target))
        median = sizes.median(not_before=0.0)
        assert median is not None
        errors.append(median / size - 1)
    assert abs(statistics.mean(errors)) < 0.06
    return statistics.pstdev(errors)


@pytest.mark.parametrize("size", [300, 3000])
def test_median_of_more_lookups_is_more_exact(size: int) -> None:
    assert median_error(size, 16) < 0.09 < median_error(size, 4) < 0.16


def test_tells_when_the_samples_suffice_and_when_their_number_has_doubled() -> None:
    sizes = NetworkSizeEstimator()
    clearer = [count for count in range(1, 40) if sizes.add_sample(1.0, count, [5, 9])]
    assert clearer == [4, 8, 16]
    assert not sizes.add_sample(2.0, 39, [5, 9])
