"""When published values are stored again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.ids import from_int, to_int
from kademlua.core.values.sweep import next_passage, next_store, position, section_count

positions = st.floats(0, 0.999)
intervals = st.floats(1, 1e6)
times = st.floats(0, 1e9)


def test_position_follows_the_order_of_ids() -> None:
    first = bytes([0b0101_0101]) * 20
    keys = [from_int((to_int(first) + (n << 153)) % (1 << 160)) for n in range(128)]
    assert [position(key, first, 128) for key in keys] == [n / 128 for n in range(128)]


def test_keys_of_a_section_are_neighbours() -> None:
    assert position(bytes([0b0111_1111]) * 20, bytes(20), 2) == 0
    assert position(bytes([0b1000_0000]) * 20, bytes(20), 2) == 0.5
    assert position(bytes([0b0111_1111]) * 20, b"\xff" * 20, 2) == 0.5


def test_many_keys_are_stored_in_many_parts() -> None:
    assert [section_count(keys) for keys in (0, 63, 64, 200, 8_192, 10**6)] == [
        1,
        1,
        2,
        4,
        128,
        128,
    ]


def test_passage_is_once_in_each_interval() -> None:
    assert next_passage(0.25, 100, 0) == 25
    assert next_passage(0.25, 100, 24) == 25
    assert next_passage(0.25, 100, 25) == 125


@pytest.mark.parametrize(
    ("stored_at", "next_at"), [(0, 75), (24, 75), (26, 125), (74, 125), (91, 125), (92, 175)]
)
def test_value_joins_the_sweep(stored_at: float, next_at: float) -> None:
    assert next_store(0.25, 100, stored_at) == next_at


@given(positions, intervals, times)
def test_next_store_is_after_a_third_of_an_interval_to_an_interval(
    at: float, interval: float, stored_at: float
) -> None:
    rounding = 1e-6 * interval + 1e-6
    wait = next_store(at, interval, stored_at) - stored_at
    assert interval / 3 - rounding <= wait <= interval + rounding


@given(positions, intervals, times)
def test_value_is_in_the_sweep_after_two_stores(
    at: float, interval: float, stored_at: float
) -> None:
    """Also if each store is a little late."""
    rounding = 1e-6 * interval + 1e-6
    for _ in range(2):
        stored_at = next_store(at, interval, stored_at + 0.01 * interval)
    phase = (stored_at - at * interval) % interval
    assert min(phase, interval - phase) <= rounding
