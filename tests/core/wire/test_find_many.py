"""The arguments and the reply of findmany."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.errors import BadArguments, WireError
from kademlua.core.wire import bencoding, find_many, packets, replies

keys = st.binary(min_size=20, max_size=20)
values = st.one_of(st.binary(max_size=30), st.integers(-(10**9), 10**9), st.lists(st.just(b"x")))
rows = st.lists(st.one_of(st.none(), st.lists(values, max_size=3)), min_size=1, max_size=32)


@given(keys, st.lists(keys, min_size=1, max_size=32), st.binary(max_size=16))
def test_arguments_are_read_as_they_were_written(
    key: bytes, wanted: list[bytes], token: bytes
) -> None:
    args = bencoding.decode(b"l%be" % find_many.encode_args(key, wanted, token))
    assert (args[0], args[2]) == (key, token)
    assert find_many.decode_args(args) == wanted


@given(rows)
def test_reply_is_read_as_it_was_written(found: list[list[Any] | None]) -> None:
    encoded = [
        None if row is None else [replies.encode_value(value) for value in row] for row in found
    ]
    reply = find_many.encode_reply(encoded)
    assert find_many.decode_reply(packets.decode_values(reply), len(found)) == found
    size = sum(len(value) for row in encoded for value in row or [])
    assert len(reply) <= size + find_many.OVERHEAD_BYTES + find_many.KEY_BYTES * len(found)


@pytest.mark.parametrize(
    "args", [[], [bytes(20)], [bytes(20), b""], [bytes(20), bytes(21)], [bytes(20), bytes(660)],
             [bytes(20), 5], [bytes(20), [bytes(20)]]]
)  # fmt: skip
def test_malformed_arguments(args: list[Any]) -> None:
    with pytest.raises(BadArguments):
        find_many.decode_args(args)


@pytest.mark.parametrize(
    "payload",
    [
        b"le",
        b"llee",
        b"ldee",
        b"ld6:retvallelee4:morelee",
        b"ld6:retvallleee",
        b"ld6:retvallelei1eeee",
        b"ld4:morei1e6:retvallleleeee",
        b"ld4:moreli2ee6:retvallleleeee",
        b"ld4:moreli-1ee6:retvallleleeee",
        b"ld4:morel1:xe6:retvallleleeee",
    ],
)
def test_malformed_replies(payload: bytes) -> None:
    with pytest.raises(WireError):
        find_many.decode_reply(packets.decode_values(payload), 2)
