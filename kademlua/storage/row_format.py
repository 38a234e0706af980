"""Byte formats of the rows on disk; pure functions.

Each row has a format version and a checksum of itself and its key: LMDB has none, and disks fail.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kademlua.core.ids import ID_BYTES

FORMAT_VERSION = 2
"""The version of all formats; it rises when one of them changes."""

# checksum, version, from_owner, sequence, expires_at_us, received_at_us, seq
_VALUE_HEADER = Struct(">IBBQQQQ")
_VALUE_FIELDS = Struct(">BBQQQQ")
_COUNTS_STRUCT = Struct(">QQQQ")
# checksum, version, TTL in µs, seq
_PUBLICATION_HEADER = Struct(">IBQQ")
_PUBLICATION_FIELDS = Struct(">BQQ")
# checksum, version, expires_at_us, seq
_TOMBSTONE_STRUCT = Struct(">IBQQ")
_TOMBSTONE_FIELDS = Struct(">BQQ")
_MAX_MICROSECONDS = 10**18


class ValueRow(NamedTuple):
    """A stored value. Times are microseconds of the wall clock."""

    sequence: int
    """Counts stores: the most recent one has the highest number."""
    expires_at_us: int
    received_at_us: int
    from_owner: bool
    encoded: bytes
    seq: int = 0
    """The owner's sequence number."""


class StoreCounts(NamedTuple):
    """Totals of a store, so that opening it does not read all rows."""

    entries: int = 0
    stored_bytes: int = 0
    sequence: int = 0
    latest_us: int = 0
    """The latest time seen: a clock that is set back does not prolong lifetimes."""


def to_microseconds(seconds: float) -> int:
    """Return whole microseconds, in the range of 8 bytes."""
    return max(int(seconds * 1e6 + 0.5), 0) if seconds < 1e12 else _MAX_MICROSECONDS


def pack_value_row(row_key: bytes, value_row: ValueRow) -> bytes:
    """Encode a value row."""
    sequence, expires_at_us, received_at_us, from_owner, encoded, seq = value_row
    body = (
        _VALUE_FIELDS.pack(FORMAT_VERSION, from_owner, sequence, expires_at_us, received_at_us, seq)
        + encoded
    )
    return crc32(body, crc32(row_key)).to_bytes(4, "big") + body


def unpack_value_row(row_key: bytes, data: bytes) -> ValueRow | None:
    """Decode a value row; None if it is damaged."""
    if len(data) < _VALUE_HEADER.size:
        return None
    checksum, version, from_owner, sequence, expires_at_us, received_at_us, seq = (
        _VALUE_HEADER.unpack_from(data)
    )
    if version != FORMAT_VERSION or checksum != crc32(data[4:], crc32(row_key)):
        return None
    return ValueRow(
        sequence, expires_at_us, received_at_us, from_owner == 1, data[_VALUE_HEADER.size :], seq
    )


def value_size(data: bytes) -> int:
    """Return the size of the value in an encoded row."""
    return max(len(data) - _VALUE_HEADER.size, 0)


def quota_key_of_row(row_key: bytes) -> bytes:
    """Return the owner's quota key in a row of ``values``."""
    return row_key[2 * ID_BYTES : -2][:8]


def expiry_row_key(expires_at_us: int, value_row_key: bytes) -> bytes:
    """Return the key of a row in the expiry index, which sorts by time."""
    return expires_at_us.to_bytes(8, "big") + value_row_key


def split_expiry_row_key(row_key: bytes) -> tuple[int, bytes]:
    """Return the expiry and the key of the value row."""
    return int.from_bytes(row_key[:8], "big"), row_key[8:]


def pack_counts(counts: StoreCounts) -> bytes:
    """Encode the counts."""
    return _COUNTS_STRUCT.pack(*counts)


def unpack_counts(data: bytes | None) -> StoreCounts:
    """Decode the counts; zeros if there are none."""
    return StoreCounts(*_COUNTS_STRUCT.unpack(data)) if data else StoreCounts()


def pack_usage(usage: int) -> bytes:
    """Encode the usage of an address."""
    return usage.to_bytes(16, "big")


def unpack_usage(data: bytes | None) -> int:
    """Decode the usage of an address; 0 if there is none."""
    return int.from_bytes(data, "big") if data else 0


def pack_publication(key: bytes, encoded: bytes, ttl: int, seq: int) -> bytes:
    """Encode a publication."""
    body = _PUBLICATION_FIELDS.pack(FORMAT_VERSION, to_microseconds(ttl), seq) + encoded
    return crc32(body, crc32(key)).to_bytes(4, "big") + body


def unpack_publication(key: bytes, data: bytes) -> tuple[bytes, int, int] | None:
    """Decode the value, the TTL in whole seconds, and the sequence number; None if damaged."""
    if len(data) < _PUBLICATION_HEADER.size:
        return None
    checksum, version, ttl, seq = _PUBLICATION_HEADER.unpack_from(data)
    if version != FORMAT_VERSION or checksum != crc32(data[4:], crc32(key)):
        return None
    return data[_PUBLICATION_HEADER.size :], -(-ttl // 1_000_000), seq


def pack_tombstone(row_key: bytes, expires_at_us: int, seq: int) -> bytes:
    """Encode a tombstone, whose row key is that of the removed value."""
    body = _TOMBSTONE_FIELDS.pack(FORMAT_VERSION, expires_at_us, seq)
    return crc32(body, crc32(row_key)).to_bytes(4, "big") + body


def unpack_tombstone(row_key: bytes, data: bytes) -> tuple[int, int] | None:
    """Decode the expiry and the sequence number; None if they are damaged."""
    if len(data) != _TOMBSTONE_STRUCT.size:
        return None
    checksum, version, expires_at_us, seq = _TOMBSTONE_STRUCT.unpack(data)
    if version != FORMAT_VERSION or checksum != crc32(data[4:], crc32(row_key)):
        return None
    return expires_at_us, seq
