"""Ids derived from addresses (BEP 42)."""

from __future__ import annotations

import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.routing.bep42 import bep42_id, crc32c, is_bep42_id

VECTORS = {
    "124.31.75.21": (1, "5fbfbf"),
    "21.75.31.124": (86, "5a3ce9"),
    "65.23.51.170": (22, "a5d432"),
    "84.124.73.14": (65, "1b0321"),
    "43.213.53.83": (90, "e56f6c"),
}
"""The examples of BEP 42: the last byte of an id and its first three."""

addresses = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


def test_crc32c_has_its_published_check_value() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4


@pytest.mark.parametrize("addr", VECTORS)
def test_vectors(addr: str) -> None:
    last, head = VECTORS[addr]
    node_id = bytes.fromhex(head) + bytes(16) + bytes([last])
    raw = socket.inet_aton(addr)
    assert is_bep42_id(node_id, raw)
    ours = bep42_id(raw, random.Random(1), last)
    assert ours[:2] == node_id[:2]
    assert ours[2] >> 3 == node_id[2] >> 3
    assert ours[-1] == last
    others = [socket.inet_aton(other) for other in VECTORS if other != addr]
    assert not any(is_bep42_id(node_id, other) for other in others)


@given(raw=addresses, seed=st.integers(0, 1 << 32))
def test_generated_id_is_valid_for_its_address(raw: bytes, seed: int) -> None:
    node_id = bep42_id(raw, random.Random(seed))
    assert len(node_id) == 20
    assert is_bep42_id(node_id, raw)


@given(raw=addresses, bit=st.integers(0, 20), seed=st.integers(0, 1 << 32))
def test_id_with_other_prefix_is_invalid(raw: bytes, bit: int, seed: int) -> None:
    number = int.from_bytes(bep42_id(raw, random.Random(seed)), "big") ^ 1 << 159 - bit
    assert not is_bep42_id(number.to_bytes(20, "big"), raw)


def test_address_has_eight_valid_prefixes() -> None:
    rng = random.Random(2)
    raw = socket.inet_aton("198.51.100.7")
    assert len({int.from_bytes(bep42_id(raw, rng)[:3], "big") >> 3 for _ in range(500)}) == 8
