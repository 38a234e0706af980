"""The rows of the files on disk, to the byte. All pure.

Each record carries the version of its form, and a checksum over itself and the row that it
stands in: LMDB has none, and a disk may lie.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

VERSION = 1
"""The version of all forms in here; it rises when one of them changes."""

# checksum, version, how it came, order, end, given
_VALUE = Struct(">IBBQQQ")
_VALUE_BODY = Struct(">BBQQQ")
_COUNTS = Struct(">QQQQ")
# checksum, version, time to live in µs
_PUBLICATION = Struct(">IBQ")
_PUBLICATION_BODY = Struct(">BQ")
_LATEST = 10**18


class Record(NamedTuple):
    """A stored value. Times are µs of the wall clock."""

    order: int
    """Counts the stores: who stored last has the highest."""
    ends: int
    given: int
    is_direct: bool
    encoded: bytes


class Counts(NamedTuple):
    """What there is, so that nobody has to look at all of it to know."""

    entries: int = 0
    stored_bytes: int = 0
    order: int = 0
    latest: int = 0
    """The latest time seen, in µs: a clock that was set back does not lengthen a life."""


def micros(seconds: float) -> int:
    """Whole µs, never negative, and never beyond what 8 bytes hold."""
    return max(int(seconds * 1e6 + 0.5), 0) if seconds < 1e12 else _LATEST


def pack_record(row: bytes, record: Record) -> bytes:
    """The bytes of a record in its row."""
    order, ends, given, is_direct, encoded = record
    body = _VALUE_BODY.pack(VERSION, is_direct, order, ends, given) + encoded
    return crc32(body, crc32(row)).to_bytes(4, "big") + body


def read_record(row: bytes, data: bytes) -> Record | None:
    """The record in these bytes; None where they are damaged."""
    if len(data) < _VALUE.size:
        return None
    checksum, version, is_direct, order, ends, given = _VALUE.unpack_from(data)
    if version != VERSION or checksum != crc32(data[4:], crc32(row)):
        return None
    return Record(order, ends, given, is_direct == 1, data[_VALUE.size :])


def encoded_size(data: bytes) -> int:
    """How many of a record's bytes are the value's own."""
    return max(len(data) - _VALUE.size, 0)


def end_row(ends: int, row: bytes) -> bytes:
    """The row of the index by end of life: the earliest end comes first."""
    return ends.to_bytes(8, "big") + row


def read_end_row(row: bytes) -> tuple[int, bytes]:
    """The end, and the row of the value that has it."""
    return int.from_bytes(row[:8], "big"), row[8:]


def pack_counts(counts: Counts) -> bytes:
    """The bytes of the counts."""
    return _COUNTS.pack(*counts)


def read_counts(data: bytes | None) -> Counts:
    """The counts in these bytes; none at all where there are no bytes."""
    return Counts(*_COUNTS.unpack(data)) if data else Counts()


def pack_number(number: int) -> bytes:
    """A count of values and bytes, as it stands beside an address."""
    return number.to_bytes(16, "big")


def read_number(data: bytes | None) -> int:
    """The same, read; 0 where there is none."""
    return int.from_bytes(data, "big") if data else 0


def pack_publication(key: bytes, encoded: bytes, ttl: int) -> bytes:
    """The bytes of what a node publishes under a key."""
    body = _PUBLICATION_BODY.pack(VERSION, micros(ttl)) + encoded
    return crc32(body, crc32(key)).to_bytes(4, "big") + body


def read_publication(key: bytes, data: bytes) -> tuple[bytes, int] | None:
    """The value and its time to live in whole seconds; None where the bytes are damaged."""
    if len(data) < _PUBLICATION.size:
        return None
    checksum, version, ttl = _PUBLICATION.unpack_from(data)
    if version != VERSION or checksum != crc32(data[4:], crc32(key)):
        return None
    return data[_PUBLICATION.size :], -(-ttl // 1_000_000)
