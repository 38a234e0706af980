"""Network key: its text form and its tags."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.security.network_key import (
    KEY_BYTES,
    MAC_BYTES,
    MAX_KEYS,
    MacSigner,
    format_key,
    parse_key,
)

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


def is_let_in(tagger: MacSigner, datagram: bytes) -> bool:
    """What the transport does, which has the tag by the first key made in place."""
    body, tag = datagram[:-MAC_BYTES], datagram[-MAC_BYTES:]
    return tagger.append_mac(body) == datagram or tagger.is_by_other_key(body, tag)


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


@given(keys, st.binary(max_size=2_000))
def test_a_tag_is_keyed_blake2b_of_all_before_it(key: bytes, body: bytes) -> None:
    tag = hashlib.blake2b(body, key=key, digest_size=16).digest()
    assert MacSigner([key]).append_mac(body) == body + tag


@given(st.binary(max_size=300), st.data())
def test_changed_datagram_is_rejected(body: bytes, data: st.DataObject) -> None:
    tagger = MacSigner([OLD, NEW])
    datagram = bytearray(tagger.append_mac(body))
    at = data.draw(st.integers(0, len(datagram) - 1))
    datagram[at] ^= data.draw(st.integers(1, 255))
    assert not is_let_in(tagger, bytes(datagram))
    assert not is_let_in(tagger, bytes(datagram[:at]))


def test_first_key_signs_and_all_keys_verify() -> None:
    old, new, both = MacSigner([OLD]), MacSigner([NEW]), MacSigner([NEW, OLD])
    assert both.append_mac(b"body") == new.append_mac(b"body") != old.append_mac(b"body")
    assert is_let_in(both, old.append_mac(b"body"))
    assert is_let_in(both, new.append_mac(b"body"))
    assert not is_let_in(old, new.append_mac(b"body"))


def test_a_key_that_is_named_twice_counts_once() -> None:
    tagger = MacSigner([OLD, OLD, OLD, NEW, NEW])
    assert is_let_in(tagger, MacSigner([NEW]).append_mac(b"body"))


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
        MacSigner(bad)
