"""The rows of the files on disk, to the byte. All pure.

Each record carries the version of its form, and a checksum over itself and the row that it
stands in: LMDB has none, and a disk may lie.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

FORMAT_VERSION = 1
"""The version of all forms in here; it rises when one of them changes."""

# checksum, version, how it came, order, end, given
_VALUE_HEADER = Struct(">IBBQQQ")
_VALUE_FIELDS = Struct(">BBQQQ")
_COUNTS_STRUCT = Struct(">QQQQ")
# checksum, version, time to live in µs
_PUBLICATION_HEADER = Struct(">IBQ")
_PUBLICATION_FIELDS = Struct(">BQ")
_MAX_MICROSECONDS = 10**18


class ValueRow(NamedTuple):
    """A stored value. Times are µs of the wall clock."""

    sequence: int
    """Counts the stores: who stored last has the highest."""
    expires_at_us: int
    received_at_us: int
    from_owner: bool
    encoded: bytes


class StoreCounts(NamedTuple):
    """What there is, so that nobody has to look at all of it to know."""

    entries: int = 0
    stored_bytes: int = 0
    sequence: int = 0
    latest_us: int = 0
    """The latest time seen, in µs: a clock that was set back does not lengthen a life."""


def to_microseconds(seconds: float) -> int:
    """Whole µs, never negative, and never beyond what 8 bytes hold."""
    return max(int(seconds * 1e6 + 0.5), 0) if seconds < 1e12 else _MAX_MICROSECONDS


def pack_value_row(row_key: bytes, value_row: ValueRow) -> bytes:
    """The bytes of a record in its row."""
    sequence, expires_at_us, received_at_us, from_owner, encoded = value_row
    body = (
        _VALUE_FIELDS.pack(FORMAT_VERSION, from_owner, sequence, expires_at_us, received_at_us)
        + encoded
    )
    return crc32(body, crc32(row_key)).to_bytes(4, "big") + body


def unpack_value_row(row_key: bytes, data: bytes) -> ValueRow | None:
    """The record in these bytes; None where they are damaged."""
    if len(data) < _VALUE_HEADER.size:
        return None
    checksum, version, from_owner, sequence, expires_at_us, received_at_us = (
        _VALUE_HEADER.unpack_from(data)
    )
    if version != FORMAT_VERSION or checksum != crc32(data[4:], crc32(row_key)):
        return None
    return ValueRow(
        sequence, expires_at_us, received_at_us, from_owner == 1, data[_VALUE_HEADER.size :]
    )


def value_size(data: bytes) -> int:
    """How many of a record's bytes are the value's own."""
    return max(len(data) - _VALUE_HEADER.size, 0)


def expiry_row_key(expires_at_us: int, value_row_key: bytes) -> bytes:
    """The row of the index by end of life: the earliest end comes first."""
    return expires_at_us.to_bytes(8, "big") + value_row_key


def split_expiry_row_key(row_key: bytes) -> tuple[int, bytes]:
    """The end, and the row of the value that has it."""
    return int.from_bytes(row_key[:8], "big"), row_key[8:]


def pack_counts(counts: StoreCounts) -> bytes:
    """The bytes of the counts."""
    return _COUNTS_STRUCT.pack(*counts)


def unpack_counts(data: bytes | None) -> StoreCounts:
    """The counts in these bytes; none at all where there are no bytes."""
    return StoreCounts(*_COUNTS_STRUCT.unpack(data)) if data else StoreCounts()


def pack_usage(usage: int) -> bytes:
    """A count of values and bytes, as it stands beside an address."""
    return usage.to_bytes(16, "big")


def unpack_usage(data: bytes | None) -> int:
    """The same, read; 0 where there is none."""
    return int.from_bytes(data, "big") if data else 0


def pack_publication(key: bytes, encoded: bytes, ttl: int) -> bytes:
    """The bytes of what a node publishes under a key."""
    body = _PUBLICATION_FIELDS.pack(FORMAT_VERSION, to_microseconds(ttl)) + encoded
    return crc32(body, crc32(key)).to_bytes(4, "big") + body


def unpack_publication(key: bytes, data: bytes) -> tuple[bytes, int] | None:
    """The value and its time to live in whole seconds; None where the bytes are damaged."""
    if len(data) < _PUBLICATION_HEADER.size:
        return None
    checksum, version, ttl = _PUBLICATION_HEADER.unpack_from(data)
    if version != FORMAT_VERSION or checksum != crc32(data[4:], crc32(key)):
        return None
    return data[_PUBLICATION_HEADER.size :], -(-ttl // 1_000_000)
