"""Network key: its text form, and which ones are accepted."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.security.network_key import (
    KEY_BYTES,
    MAX_KEYS,
    format_key,
    parse_key,
    require_network_keys,
)

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


@given(keys)
def test_key_text_round_trips(key: bytes) -> None:
    assert parse_key(format_key(key)) == key
    assert parse_key(key.hex().upper().encode()) == key
    assert parse_key(key.hex().encode() + b"\r\n") == key


@given(st.binary(max_size=80))
def test_any_other_text_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="64 hex digits in one line"):
        parse_key(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"0" * 63,
        b"0" * 65,
        b"0" * 64 + b"\n\n",
        b" " + b"0" * 64,
        b"0" * 63 + b"g",
        b"0x" + b"0" * 62,
        b"0" * 32 + b"\n" + b"0" * 32,
        b"\xd9\xa0" * 32,  # digits, elsewhere
    ],
)
def test_error_does_not_reveal_the_key(text: bytes) -> None:
    with pytest.raises(ValueError, match="hex digits") as caught:
        parse_key(text)
    assert str(caught.value) == "a network key is 64 hex digits in one line"


def test_a_key_that_is_named_twice_counts_once() -> None:
    assert require_network_keys([OLD, OLD, OLD, NEW, NEW]) == [OLD, NEW]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ([], ValueError),
        ([b""], ValueError),
        ([OLD, b"k" * 31], ValueError),
        ([b"k" * 33], ValueError),
        (["k" * 32], TypeError),
        ([None], TypeError),
        ([bytes([number]) * 32 for number in range(MAX_KEYS + 1)], ValueError),
    ],
)
def test_invalid_key_is_refused(bad: list[Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="network key"):
        require_network_keys(bad)
