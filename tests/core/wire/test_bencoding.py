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
from kademlua.core.wire.bencoding import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_VALUE_TOKENS,
    SHORT_BYTES,
    check_tokens,
    decode,
    decode_readable,
    encode,
)
from tests.core.strategies import values


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
    if abs(number) >= 10**MAX_DIGITS:
        raise ValueError("too many digits")
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
def test_long_data_decode_as_short_data_do(data):
    """The extension decodes only short data."""
    filler = b"500:" + b"x" * 500
    agrees_with_reference(b"l" + filler + data + b"e")
    agrees_with_reference(b"d0:" + filler + data + b"e")


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
    for number in (largest, -largest, 2**64, -(2**64)):
        assert decode(encode(number)) == number
        assert decode(encode([number, b"x" * 500])) == [number, b"x" * 500]


@pytest.mark.parametrize("number", [10**MAX_DIGITS, -(10**MAX_DIGITS), 10**4_000])
def test_too_large_integers_are_refused_both_ways(number):
    with pytest.raises(TypeError, match="300 digits"):
        encode([number])
    digits = b"1" + b"0" * MAX_DIGITS
    for data in (b"i%be" % digits, b"i-%be" % digits, b"li%be500:%be" % (digits, b"x" * 500)):
        with pytest.raises(WireError):
            decode(data)


# The number of tokens.

ITEMS = {
    "strings": (b"1:x", 1),
    "integers": (b"i5e", 1),
    "long integers": (b"i%de" % 10**80, 2),
    "lists": (b"le", 2),
    "dictionaries": (b"d1:ai5ee", 5),
}


@pytest.mark.parametrize(("item", "tokens"), ITEMS.values(), ids=ITEMS)
def test_number_of_tokens_is_limited(item, tokens):
    count = 300 // tokens
    filler = b"%d:" % SHORT_BYTES + b"x" * SHORT_BYTES
    data = b"l" + filler + item * count + b"e"
    assert len(decode(data, max_tokens=3 + count * tokens)) == count + 1
    for limit in (0, 1, 2 + count * tokens):
        with pytest.raises(WireError, match="too many tokens"):
            decode(data, max_tokens=limit)
        with pytest.raises(WireError, match="too many tokens"):
            decode_readable(data, 1, max_tokens=limit)
    assert len(decode(data)) == count + 1


@pytest.mark.parametrize(("item", "tokens"), ITEMS.values(), ids=ITEMS)
def test_short_data_have_no_limit_of_tokens(item, tokens):
    data = b"l" + item * ((SHORT_BYTES - 2) // len(item)) + b"e"
    assert decode(data, max_tokens=5) == decode(data)


@pytest.mark.parametrize(("item", "tokens"), ITEMS.values(), ids=ITEMS)
def test_values_with_more_tokens_than_peers_decode_are_refused(item, tokens):
    count = (MAX_VALUE_TOKENS - 2) // tokens
    check_tokens(b"l" + item * count + b"e")
    with pytest.raises(ValueError, match="480 tokens"):
        check_tokens(b"l" + item * (count + 1) + b"e")


def test_one_long_string_is_one_token():
    check_tokens(encode(b"lde" * 20_000))
    assert decode(encode(b"lde" * 20_000), max_tokens=1) == b"lde" * 20_000


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


def test_unreadable_parts_count_as_tokens():
    data = b"l" + b"i1e" * 400 + b"i-0e" * 10 + b"e"
    assert decode_readable(data, 1, max_tokens=412) == [1] * 400 + [None] * 10
    with pytest.raises(WireError, match="too many tokens"):
        decode_readable(data, 1, max_tokens=411)
