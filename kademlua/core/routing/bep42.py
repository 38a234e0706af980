"""Binding: ids that can only be had with an address (BEP 42).

The first 21 bits of an id come from a CRC-32C over parts of the address and three bits of
chance, which the id's last byte tells. So whoever has one address has eight places in the id
space, and not those that it wants.
"""

from __future__ import annotations

import random

from kademlua.core.contact import canonical_address, is_private
from kademlua.core.ids import ID_BYTES, random_id

_MASK_V4 = bytes.fromhex("030f3fff")
_MASK_V6 = bytes.fromhex("0103070f1f3f7fff")
_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, reflected."""


def _remainder(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = tuple(_remainder(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """The CRC-32C of some bytes (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def bound_id(raw: bytes, rng: random.Random, last: int | None = None) -> bytes:
    """A random id for an address of 4 or 16 bytes; ``last`` is its last byte."""
    last = rng.randrange(256) if last is None else last
    head = _prefix(raw, last) << 3 | rng.getrandbits(3)
    return head.to_bytes(3, "big") + rng.randbytes(ID_BYTES - 4) + bytes([last])


def new_id(host: str, rng: random.Random, *, binds: bool) -> bytes:
    """A random id for a node of an IP address; with ``binds`` one that is bound to it, where it
    is a public one. ValueError for a host name."""
    if binds:
        raw = canonical_address(host)[1]
        if any(raw) and not is_private(raw):
            return bound_id(raw, rng)
    return random_id(rng)


def is_bound(node_id: bytes, raw: bytes) -> bool:
    """Whether an id may be had with an address of 4 or 16 bytes."""
    return int.from_bytes(node_id[:3], "big") >> 3 == _prefix(raw, node_id[-1])


def _prefix(raw: bytes, last: int) -> int:
    """The 21 bits with which an id begins."""
    mask = _MASK_V4 if len(raw) == 4 else _MASK_V6
    masked = bytearray(byte & bits for byte, bits in zip(raw, mask, strict=False))
    masked[0] |= (last & 7) << 5
    return crc32c(bytes(masked)) >> 11
