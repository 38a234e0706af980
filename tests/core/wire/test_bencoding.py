"""Bencoding: valid, invalid and deeply nested data."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kademlua.core.errors import WireError
from kademlua.core.wire.bencoding import MAX_DEPTH, decode, decode_readable, encode
from tests.core.strategies import values

MAX_DIGITS = 4300  # of a number: Python's own limit, see sys.set_int_max_str_digits


def decode_strictly(data: bytes) -> Any:
    """The reference: BEP 3 to the letter but for the order of keys; ValueError otherwise."""
    value, end = _strict_value(data, 0, 0)
    if end != len(data):
        raise ValueError("trailing bytes")
    return value


def _strict_value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return _strict_number(data[at + 1 : end]), end + 1
    if kind not in (b"l", b"d"):
        return _strict_string(data, at)
    if depth == MAX_DEPTH:
        raise ValueError("too deep")
    at += 1
    items: list[Any] = []
    keys = []
    while data[at : at + 1] != b"e":
        if kind == b"d":
            key, at = _strict_string(data, at)
            keys.append(key)
        item, at = _strict_value(data, at, depth + 1)
        items.append(item)
    if len(set(keys)) != len(keys):
        raise ValueError("repeated key")
    return (dict(zip(keys, items, strict=True)) if kind == b"d" else items), at + 1


def _strict_string(data: bytes, at: int) -> tuple[bytes, int]:
    colon = data.index(b":", at)
    start = colon + 1
    end = start + _strict_number(data[at:colon], least=0)
    if end > len(data):
        raise ValueError("cut")
    return data[start:end], end


def _strict_number(text: bytes, least: int | None = None) -> int:
    number = int(text)
    if str(number).encode() != text or (least is not None and number < least):
        raise ValueError("not as bencoding writes a number")
    return number


def agrees_with_reference(data: bytes) -> None:
    try:
        expected = decode_strictly(data)
    except ValueError:
        with pytest.raises(WireError):
            decode(data)
    else:
        assert decode(data) == expected


# Tokens right and wrong, which together come near to bencoding often.
TOKENS = st.sampled_from(
    b"d,d,l,l,e,e,e,i1e,i-1e,i0e,0:,1:a,2:ab,4:name,1:1,3:d-4,i-0e,i01e,i+1e,i1_0e,i1.0e,ie,i-e,"
    b"i,01:a,+1:a,1_0:,-1:,-2:,-3:,-4:,-5:,-0:,-0_6:,9:,3,-,:,le,de,i 1e,i1 e, 1:a,1 :a, -4:,-4 :,"
    b"\n-3\t:,i\xb2e,\0".split(b",")
)
NEAR_MISSES = st.lists(TOKENS, max_size=12).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The bytes of a value, with some of them changed, doubled or lost."""
    data = encode(draw(values))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(start + 8, len(data))))
    patch = draw(st.binary(max_size=4) | TOKENS | st.just(data[start:end] * 2))
    return data[:start] + patch + data[end:]


@given(values)
def test_round_trip(value):
    assert decode(encode(value)) == value


@given(values)
def test_written_canonically(value):
    agrees_with_reference(encode(value))
    assert encode(decode(encode(value))) == encode(value)


@given(st.binary())
def test_any_bytes_decode_or_raise_a_wire_error(data):
    agrees_with_reference(data)


@given(NEAR_MISSES)
@example(b"d-2:ab1:bi+1ee")  # one mistake lengthens the re-encoding, another shortens it
def test_near_misses_decode_as_the_strict_reference_does(data):
    agrees_with_reference(data)


@given(mutated())
def test_mutations_decode_as_the_strict_reference_does(data):
    agrees_with_reference(data)


@given(NEAR_MISSES | mutated())
def test_decoded_value_encodes_to_the_same_bytes_except_key_order(data):
    try:
        value = decode(data)
    except WireError:
        return
    assert sorted(encode(value)) == sorted(data)


def test_unsorted_keys_are_read_as_the_original_writes_them():
    assert decode(b"d4:name4:ping4:argslee") == {b"name": b"ping", b"args": []}


def test_v10_encoding_is_read_at_any_size():
    long = b"x" * 60_000
    assert decode(b"60000:" + long) == long
    # Bytes that look like lists and dictionaries are none.
    assert decode(b"l100:" + b"ld" * 50 + b"e") == [b"ld" * 50]
    assert decode(b"5:a-4:b") == b"a-4:b"
    assert decode(b"l" * 10 + b"5000:" + b"d" * 5000 + b"e" * 10)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"e",
        b":",
        b"i1",
        b"ie",
        b"i-e",
        b"i-0e",
        b"i01e",
        b"i 1e",
        b"i1 e",
        b"i+1e",
        b"i1_0e",
        b"i1.0e",
        b"i0x1e",
        b"i" + b"9" * 5000 + b"e",
        b"5:abc",
        b"3:abcd",
        b"03:abc",
        b"+3:abc",
        b" 3:abc",
        b"1_0:0123456789",
        b"-1:a",
        b"99999999999999999999:",
        b"9" * 5000 + b":",
        b"l",
        b"li1e",
        b"d",
        b"d3:abc",
        b"d3:abce",
        b"di1ei2ee",
        b"dlelee",
        b"d1:ai1e1:ai2ee",
        b"d1:a1:b2:cc1:d1:a1:ee",
        b"i1ei2e",
        b"le" + b"l" * 60_000,
        b"i1e\0",
        b"i1e\n",
        b"None",
    ],
)
def test_invalid_bencoding_is_refused(data):
    with pytest.raises(WireError):
        decode(data)


# What crashed or hung the extension is shown to a process of its own.
KILLERS = {
    "60,000 nested lists": "b'l' * 60_000",
    "60,000 nested lists, ended": "b'l' * 30_000 + b'e' * 30_000",
    "60,000 nested dictionaries": "b'd1:a' * 15_000",
    "nested behind much that is flat": "b'l' + b'i1e' * 100 + b'l' * 59_000",
    "a key of negative length, into recursion": "b'd-4:e'",
    "the same with blanks": "b'd -5:e'",
    "the same with an underscore": "b'd-0_6:e'",
    "a key of negative length, into a loop": "b'd1:ai1e-6:e'",
}


@pytest.mark.parametrize("killer", KILLERS.values(), ids=KILLERS)
def test_deeply_nested_datagram_does_not_crash(killer):
    # In a thread, because greenlets and threads have less of a stack than the main one.
    code = f"""
import threading
from kademlua.core.wire.bencoding import decode
from kademlua.core.errors import WireError
def run():
    try:
        decode({killer})
    except WireError:
        print("refused")
threading.stack_size(256 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, b"refused\n")


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = {b"a": value} if depth % 2 else [value]
    return value


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH])
def test_nesting_up_to_the_limit_round_trips(depth):
    assert decode(encode(nested(depth))) == nested(depth)


def test_nesting_beyond_the_limit_is_refused_both_ways():
    with pytest.raises(TypeError, match="nested"):
        encode(nested(MAX_DEPTH + 1))
    with pytest.raises(TypeError, match="nested"):
        encode(nested(5_000))
    with pytest.raises(WireError, match="nested too deeply"):
        decode(b"l" * (MAX_DEPTH + 1) + b"e" * (MAX_DEPTH + 1))


def test_the_bound_is_of_depth_and_not_of_number():
    many: list[Any] = [[] for _ in range(1000)]
    assert decode(encode(many)) == many


def test_much_that_is_nested_up_to_the_bound_is_read():
    """So much that it is walked, and not only counted."""
    wide = [nested(MAX_DEPTH - 1) for _ in range(10)]
    assert decode(encode(wide)) == wide
    deeper = b"l" + encode([nested(MAX_DEPTH - 1)]) + b"e"
    with pytest.raises(WireError, match="nested too deeply"):
        decode(deeper)


def test_a_list_within_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TypeError, match="nested"):
        encode(loop)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        True,
        False,
        bytearray(b"a"),
        memoryview(b"a"),
        {1, 2},
        object(),
        1j,
        [None],
        (1, [2, (3.0,)]),
        {b"a": None},
        {b"a": [{b"b": True}]},
        {1: b"a"},
        {None: b"a"},
        {b"a": 1, "b": 2},
        {True: 1},
    ],
    ids=lambda each: repr(each).partition(" at 0x")[0],
)
def test_unsupported_type_is_refused(value):
    with pytest.raises(TypeError):
        encode(value)


def test_text_and_tuples_are_written_as_bytes_and_lists():
    assert encode("ü") == b"2:\xc3\xbc"
    assert encode((1, "a")) == b"li1e1:ae"
    assert encode({"b": 1, "a": ()}) == b"d1:ale1:bi1ee"


def test_keys_are_sorted_as_bytes():
    assert encode({b"b": 1, b"a": 2, b"": 3, b"\xff": 4, b"aa": 5}) == (
        b"d0:i3e1:ai2e2:aai5e1:bi1e1:\xffi4ee"
    )


@given(st.integers())
def test_integers_of_any_size(number):
    assert encode(number) == b"i%de" % number
    assert decode(b"i%de" % number) == number


def test_large_integers():
    largest = 10**MAX_DIGITS - 1
    assert decode(encode(largest)) == largest
    assert decode(b"i-%de" % 2**64) == -(2**64)


# Values of which parts are unreadable, as the original writes some.

DEEP = b"l" * (MAX_DEPTH + 1) + b"e" * (MAX_DEPTH + 1)


@pytest.mark.parametrize("bad", [b"i-0e", b"di1e1:ae", b"d1:ai1e1:ai2ee", DEEP])
def test_unreadable_part_leaves_its_neighbours_readable(bad):
    assert decode_readable(b"l1:x%b1:ye" % bad, 1) == [b"x", None, b"y"]
    assert decode_readable(b"d1:ai1e1:b%be" % bad, 1) == {b"a": 1, b"b": None}
    assert decode_readable(b"d1:al%bi7eee" % bad, 2) == {b"a": [None, 7]}
    assert decode_readable(b"d1:al%bi7eee" % bad, 1) == {b"a": None}
    with pytest.raises(WireError):
        decode_readable(bad, 0)


def test_readable_parts_count_the_levels_around_them():
    full = encode(nested(MAX_DEPTH - 1))
    assert decode_readable(b"l%bi-0ee" % full, 1) == [nested(MAX_DEPTH - 1), None]
    assert decode_readable(b"l%bi-0ee" % encode(nested(MAX_DEPTH)), 1) == [None, None]


@given(st.binary() | NEAR_MISSES | mutated(), st.integers(0, 3))
def test_any_bytes_are_readable_in_part_or_raise_a_wire_error(data, levels):
    try:
        value = decode(data)
    except WireError:
        with contextlib.suppress(WireError):
            decode_readable(data, levels)
    else:
        assert decode_readable(data, levels) == value


def test_long_unreadable_value_is_refused_as_a_whole():
    """To look for its readable parts would take long."""
    assert decode_readable(b"l" + b"i1e" * 4_000 + b"i-0ee", 1) == [1] * 4_000 + [None]
    with pytest.raises(WireError):
        decode_readable(b"l" + b"i1e" * 5_000 + b"i-0ee", 1)
