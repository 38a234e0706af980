"""Leases: who gets one, for how long, and within which limits."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import Contact, sha1
from kademlua.core.watch.leases import (
    MAX_LEASE_SECONDS,
    MAX_LEASES,
    MAX_PER_KEY,
    MAX_PER_SOURCE,
    MIN_LEASE_SECONDS,
    LeaseTable,
)

KEY = sha1("key")


def watcher(number: int, subnet: int | None = None) -> Contact:
    """A public watcher, in a subnet of its own unless one is given."""
    net = number if subnet is None else subnet
    return Contact(
        f"30.{net // 256}.{net % 256}.{number % 250 + 1}", 4000 + number // 250, sha1(str(number))
    )


@given(seconds=st.integers(0, 10_000), later=st.floats(0, 1_000))
def test_lease_lasts_as_long_as_asked_within_bounds(seconds: int, later: float) -> None:
    table = LeaseTable()
    lease = table.grant(KEY, watcher(1), seconds, 100.0)
    assert lease is not None
    granted = min(max(seconds, MIN_LEASE_SECONDS), MAX_LEASE_SECONDS)
    assert bool(table.of(KEY, 100.0 + later)) == (later < granted)
    assert len(table) == (later < granted)


def test_renewal_extends_the_lease_and_adds_none() -> None:
    table = LeaseTable()
    table.grant(KEY, watcher(1), 100, 0.0)
    table.grant(KEY, watcher(1), 100, 50.0)
    assert len(table) == 1
    assert table.of(KEY, 120.0)


def test_key_has_a_bounded_number_of_leases() -> None:
    table = LeaseTable()
    granted = [table.grant(KEY, watcher(number), 300, 0.0) for number in range(MAX_PER_KEY + 1)]
    assert granted[-1] is None
    assert all(granted[:-1])
    assert table.grant(KEY, watcher(999), 300, 301.0) is not None  # the others have ended


def test_one_subnet_cannot_keep_others_from_watching_a_key() -> None:
    table = LeaseTable()
    for number in range(MAX_PER_KEY):
        assert table.grant(KEY, watcher(number, subnet=7), 300, 0.0) is not None
    assert table.grant(KEY, watcher(9_999, subnet=7), 300, 0.0) is None
    others = [watcher(number) for number in range(1_000, 1_000 + MAX_PER_KEY)]
    granted = [table.grant(KEY, each, 300, 0.0) for each in others]
    assert granted.count(None) == 1  # each subnet has one lease then
    assert len(table) == len(table.of(KEY, 0.0)) == MAX_PER_KEY


def test_subnet_has_a_bounded_number_of_leases() -> None:
    table = LeaseTable()
    for number in range(MAX_PER_SOURCE):
        assert table.grant(sha1(str(number)), watcher(number, subnet=7), 300, 0.0) is not None
    assert table.grant(KEY, watcher(9_999, subnet=7), 300, 0.0) is None
    assert table.grant(KEY, watcher(9_999, subnet=8), 300, 0.0) is not None
    assert table.end(sha1("0"), watcher(0, subnet=7))
    assert table.grant(KEY, watcher(9_999, subnet=7), 300, 0.0) is not None


def test_node_has_a_bounded_number_of_leases() -> None:
    table = LeaseTable()
    for number in range(MAX_LEASES):
        assert table.grant(sha1(str(number)), watcher(number % 60_000), 300, 0.0) is not None
    assert table.grant(KEY, watcher(60_001), 300, 0.0) is None
    table.expire(301.0)
    assert table.grant(KEY, watcher(60_001), 300, 301.0) is not None
    assert len(table) == 1


@pytest.mark.parametrize("subnets", [7, 40, 200, 2_000])
def test_few_subnets_do_not_take_all_leases(subnets: int) -> None:
    table = LeaseTable()
    for number in range(3 * MAX_LEASES):
        table.grant(sha1(str(number)), watcher(number, number % subnets), 300, 0.0)
    assert len(table) > MAX_LEASES * subnets / (subnets + 50)
    for number in range(100):  # each subnet that has none gets one
        one = watcher(40_000 + number, subnet=3_000 + number)
        assert table.grant(sha1(str(number)), one, 300, 0.0) is not None


def test_refused_watchers_leave_nothing_behind() -> None:
    table = LeaseTable()
    for number in range(MAX_LEASES):
        table.grant(sha1(str(number)), watcher(number), 300, 0.0)
    gc.collect()
    tracemalloc.start()
    for number in range(MAX_LEASES, 4 * MAX_LEASES):
        assert table.grant(sha1(str(number)), watcher(number), 300, 0.0) is None
        if number == 2 * MAX_LEASES:  # caches are full
            before = tracemalloc.get_traced_memory()[0]
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000


@given(
    st.lists(st.tuples(st.sampled_from("gex"), st.integers(0, 3), st.integers(0, 5)), max_size=60)
)
def test_counts_agree_with_what_is_there(steps: list[tuple[str, int, int]]) -> None:
    table, now = LeaseTable(), 0.0
    for action, key_number, watcher_number in steps:
        now += 20
        key, who = sha1(str(key_number)), watcher(watcher_number)
        if action == "g":
            table.grant(key, who, 60, now)
        elif action == "e":
            table.end(key, who)
        else:
            table.expire(now)
    table.expire(now)
    keys = table.keys()
    assert len(table) == sum(len(table.of(key, now)) for key in keys)
    assert all(key in table for key in keys)


def test_ten_thousand_leases_take_little_memory() -> None:
    table = LeaseTable()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(MAX_LEASES):
        watcher = Contact(
            f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}", 4000, sha1(str(number))
        )
        assert table.grant(sha1(f"key {number}"), watcher, 300, 0.0) is not None
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(f"{taken / MAX_LEASES:.0f} bytes for a lease, its key and its watcher")
    assert taken <= 10_000_000
