"""Node ids: creation, distance and text forms."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core import ids as ids_module
from kademlua.core.ids import (
    bucket_number,
    distance,
    from_hex,
    from_int,
    is_id,
    random_id,
    random_in_bucket,
    sha1,
    to_int,
    xor,
)
from tests.core.strategies import ids

ZERO = bytes(20)


def test_sha1_of_text_and_of_bytes():
    # FIPS 180's example; "ü" as UTF-8.
    assert sha1("abc").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"
    assert sha1(b"abc") == sha1("abc")
    assert sha1("ü") == sha1(b"\xc3\xbc")


def test_ids_of_a_local_swarm_are_those_of_the_original():
    # The node on port 8001 of the recorded network.
    assert sha1("8001").hex() == "0c7fa9633c55e421aa41f2300470e6d40676d09b"


def test_random_ids_come_from_the_given_rng():
    assert random_id(random.Random(1)) == random_id(random.Random(1))
    assert random_id(random.Random(1)) != random_id(random.Random(2))
    assert is_id(random_id(random.Random(3)))


@pytest.mark.parametrize("value", [b"", bytes(19), bytes(21), "a" * 20, bytearray(20), 5, None])
def test_invalid_id_is_refused(value):
    assert not is_id(value)


@given(ids)
def test_number_and_hex_there_and_back(node_id):
    assert from_int(to_int(node_id)) == node_id
    assert from_hex(node_id.hex()) == from_hex(node_id.hex().upper()) == node_id


def test_the_first_byte_weighs_most():
    assert to_int(b"\x01" + bytes(19)) == 1 << 152
    assert from_int(1) == bytes(19) + b"\x01"
    with pytest.raises(OverflowError):
        from_int(1 << 160)


@pytest.mark.parametrize(
    "text", ["", "0" * 39, "0" * 41, "g" * 40, " " + "0" * 39, "0x" + "0" * 38, "\u0660" * 40]
)
def test_wrong_hex_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match="40 hex digits") as caught:
        from_hex(text)
    assert "\n" not in str(caught.value)


@given(ids, ids, ids)
def test_distance_is_a_metric_of_xor(a, b, c):
    assert distance(a, b) == distance(b, a) == to_int(xor(a, b))
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_bucket_numbers():
    assert bucket_number(ZERO, ZERO) == -1
    assert bucket_number(ZERO, from_int(1)) == 0
    assert bucket_number(ZERO, from_int(0b1011)) == 3


@given(ids, st.integers(0, 159), st.integers())
def test_a_random_id_of_a_bucket_lies_in_it(node_id, number, seed):
    drawn = random_in_bucket(node_id, number, random.Random(seed))
    assert bucket_number(node_id, drawn) == number


def test_random_ids_of_a_bucket_reach_all_of_it():
    rng = random.Random(1)
    assert {to_int(random_in_bucket(ZERO, 2, rng)) for _ in range(100)} == {4, 5, 6, 7}


def test_lengths():
    assert (ids_module.ID_BYTES, ids_module.ID_BITS) == (20, 160)
