"""Byte formats of the rows on disk; pure functions.

Each row has a format version and a checksum of itself and its key: LMDB has none, and disks fail.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kademlua.core.ids import ID_BYTES

FORMAT_VERSION = 1
"""The version of all formats; it rises when one of them changes."""

# checksum, version, from_owner, sequence, expires_at_us, received_at_us
_VALUE_HEADER = Struct(">IBBQQQ")
_VALUE_FIELDS = Struct(">BBQQQ")
_COUNTS_STRUCT = Struct(">QQQQ")
# disk_us, clock_us, wall_us; the boot id follows
_SAMPLE_STRUCT = Struct(">QQQ")
# checksum, version, TTL in µs
_PUBLICATION_HEADER = Struct(">IBQ")
_PUBLICATION_FIELDS = Struct(">BQ")
_MAX_MICROSECONDS = 10**18


class ValueRow(NamedTuple):
    """A stored value. Times are microseconds of ``DiskClock``."""

    sequence: int
    """Counts stores: the most recent one has the highest number."""
    expires_at_us: int
    received_at_us: int
    from_owner: bool
    encoded: bytes


class StoreCounts(NamedTuple):
    """Totals of a store, so that opening it does not read all rows."""

    entries: int = 0
    stored_bytes: int = 0
    sequence: int = 0
    latest_us: int = 0
    """The time on disk at the last commit."""


class ClockSample(NamedTuple):
    """The time by several clocks at one moment, in microseconds."""

    disk_us: int
    """The time of the rows on disk."""
    clock_us: int
    """The node's clock."""
    wall_us: int
    """The wall clock."""
    boot_id: bytes = b""
    """The boot of the machine to which ``clock_us`` belongs; empty if unknown."""


def to_microseconds(seconds: float) -> int:
    """Return whole microseconds, in the range of 8 bytes."""
    return max(int(seconds * 1e6 + 0.5), 0) if seconds < 1e12 else _MAX_MICROSECONDS


def pack_value_row(row_key: bytes, value_row: ValueRow) -> bytes:
    """Encode a value row."""
    sequence, expires_at_us, received_at_us, from_owner, encoded = value_row
    body = (
        _VALUE_FIELDS.pack(FORMAT_VERSION, from_owner, sequence, expires_at_us, received_at_us)
        + encoded
    )
    return crc32(body, crc32(row_key)).to_bytes(4, "big") + body


def unpack_value_row(row_key: bytes, data: bytes) -> ValueRow | None:
    """Decode a value row; None if it is damaged."""
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


def pack_clock_sample(sample: ClockSample) -> bytes:
    """Encode a sample of the clocks."""
    return _SAMPLE_STRUCT.pack(sample.disk_us, sample.clock_us, sample.wall_us) + sample.boot_id


def unpack_clock_sample(data: bytes) -> ClockSample:
    """Decode a sample of the clocks."""
    disk_us, clock_us, wall_us = _SAMPLE_STRUCT.unpack_from(data)
    return ClockSample(disk_us, clock_us, wall_us, data[_SAMPLE_STRUCT.size :])


def pack_usage(usage: int) -> bytes:
    """Encode the usage of an address."""
    return usage.to_bytes(16, "big")


def unpack_usage(data: bytes | None) -> int:
    """Decode the usage of an address; 0 if there is none."""
    return int.from_bytes(data, "big") if data else 0


def pack_publication(key: bytes, encoded: bytes, ttl: int) -> bytes:
    """Encode a publication."""
    body = _PUBLICATION_FIELDS.pack(FORMAT_VERSION, to_microseconds(ttl)) + encoded
    return crc32(body, crc32(key)).to_bytes(4, "big") + body


def unpack_publication(key: bytes, data: bytes) -> tuple[bytes, int] | None:
    """Decode the value and the TTL in whole seconds; None if they are damaged."""
    if len(data) < _PUBLICATION_HEADER.size:
        return None
    checksum, version, ttl = _PUBLICATION_HEADER.unpack_from(data)
    if version != FORMAT_VERSION or checksum != crc32(data[4:], crc32(key)):
        return None
    return data[_PUBLICATION_HEADER.size :], -(-ttl // 1_000_000)
