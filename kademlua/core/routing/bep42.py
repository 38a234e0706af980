"""Ids that are derived from IP addresses (BEP 42).

The first 21 bits of an id come from a CRC-32C of parts of the address and three random bits, which
the last byte of the id contains. An owner of one address can choose among eight places in the id
space.
"""

from __future__ import annotations

import random
from typing import Final

from kademlua.core.contact import canonical_address, is_private
from kademlua.core.ids import ID_BYTES, random_id

_MASK_V4: Final = bytes.fromhex("030f3fff")
_MASK_V6: Final = bytes.fromhex("0103070f1f3f7fff")
_POLYNOMIAL: Final = 0x82F63B78
"""The Castagnoli polynomial, reflected."""


def _crc_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_CRC_TABLE: Final = tuple(_crc_of_byte(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def bep42_id(address_bytes: bytes, rng: random.Random, last_byte: int | None = None) -> bytes:
    """Return a random id for an address of 4 or 16 bytes; ``last_byte`` is its last byte."""
    last_byte = rng.randrange(256) if last_byte is None else last_byte
    first_bits = _first_21_bits(address_bytes, last_byte) << 3 | rng.getrandbits(3)
    return first_bits.to_bytes(3, "big") + rng.randbytes(ID_BYTES - 4) + bytes([last_byte])


def generate_id(host: str, rng: random.Random, *, bep42: bool) -> bytes:
    """Return a random id for a node at an IP address; ValueError for a host name.

    With ``bep42`` it is derived from the address, if that is public.
    """
    if bep42:
        address_bytes = canonical_address(host)[1]
        if any(address_bytes) and not is_private(address_bytes):
            return bep42_id(address_bytes, rng)
    return random_id(rng)


def is_bep42_id(node_id: bytes, address_bytes: bytes) -> bool:
    """Return whether an id may belong to an address of 4 or 16 bytes."""
    return int.from_bytes(node_id[:3], "big") >> 3 == _first_21_bits(address_bytes, node_id[-1])


def _first_21_bits(address_bytes: bytes, last_byte: int) -> int:
    """Return the first 21 bits of an id."""
    mask = _MASK_V4 if len(address_bytes) == 4 else _MASK_V6
    masked = bytearray(byte & bits for byte, bits in zip(address_bytes, mask, strict=False))
    masked[0] |= (last_byte & 7) << 5
    return crc32c(bytes(masked)) >> 11
