"""Byte formats of the rows on disk; pure functions.

Each row has a format version and a checksum of itself and its key: LMDB has none, and disks fail.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kademlua.core.contact import Contact
from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES

FORMAT_VERSION = 3
"""The version of the files. Version 1 had fewer checksums, 2 charged values to their owners."""
FORMAT_KEY = b"format"
"""The row that names a file's kind and version."""
COUNTS_KEY = b"counts"
"""The row of ``meta`` with the totals of a store."""
NODE_ID_KEY = b"id"
"""The row of ``meta`` with the node's id."""
CLOCK_KEY = b"clock"
"""The row of ``meta`` with a sample of the clocks."""
IDENTITY_KEY = b"identity"
"""The row of ``meta`` with the node's signing key."""
ADDRESSES_KEY = b"addresses"
"""The row of ``meta`` with the node's addresses."""
SWEPT_KEY = b"swept"
"""The row of ``meta`` with the time up to which the publications were stored."""
META_KEYS = frozenset({COUNTS_KEY, NODE_ID_KEY, CLOCK_KEY, IDENTITY_KEY, ADDRESSES_KEY, SWEPT_KEY})

_LABEL = re.compile(rb"(kademlua ([a-z]+) ([0-9]{1,9}))(?: ([0-9a-f]{8}))?")
_ROW_VERSION = 2
"""The version of the rows of values and publications. Version 1 had no ``seq``."""
_SEQ_BYTES = 8
# checksum, version, origin, sequence, expires_at_us, received_at_us, seq; the sender and the value
# follow. The origin is the number of the sender's bytes, which is even, plus 1 if from_owner.
_VALUE_HEADER = Struct(">IBBQQQQ")
_VALUE_FIELDS = Struct(">BBQQQQ")
_COUNTS_STRUCT = Struct(">QQQQ")
# disk_us, clock_us, wall_us; the boot id follows
_SAMPLE_STRUCT = Struct(">QQQ")
_PUBLICATION_HEADER = Struct(">IBQQ")  # checksum, version, TTL in µs, seq
_PUBLICATION_FIELDS = Struct(">BQQ")
# expires_at_us, seq
_TOMBSTONE_FIELDS = Struct(">QQ")
# highest sequence - sequence, expires_at_us; the owner, packed, follows
_RECENCY_FIELDS = Struct(">QQ")
_MAX_SEQUENCE = (1 << 64) - 1
_MAX_MICROSECONDS = 10**18


class Label(NamedTuple):
    """The kind and the format version that a file declares."""

    kind: str
    version: int


class ValueRow(NamedTuple):
    """A stored value. Times are microseconds of ``DiskClock``."""

    sequence: int
    """Counts stores: the most recent one has the highest number."""
    expires_at_us: int
    received_at_us: int
    from_owner: bool
    encoded: bytes
    seq: int = 0
    """The owner's sequence number."""
    sender: bytes = b""
    """The peer that is charged, packed; empty: the owner."""


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


def seal(row_key: bytes, body: bytes) -> bytes:
    """Return a row's data: the checksum of its key and body, and the body."""
    return crc32(body, crc32(row_key)).to_bytes(4, "big") + body


def unseal(row_key: bytes, data: bytes) -> bytes | None:
    """Return the body of a sealed row; None if it is damaged."""
    body = data[4:]
    return body if crc32(body, crc32(row_key)).to_bytes(4, "big") == data[:4] else None


def pack_label(kind: str, version: int) -> bytes:
    """Encode a label: text, so that other versions and people can read it, and its checksum."""
    text = f"kademlua {kind} {version}"
    return f"{text} {crc32(text.encode()):08x}".encode()


def unpack_label(data: bytes) -> Label | None:
    """Decode a label; None if it is damaged. In format 1 it had no checksum."""
    found = _LABEL.fullmatch(data)
    if found is None:
        return None
    text, kind, version, checksum = found.groups()
    if checksum is not None and checksum != b"%08x" % crc32(text):
        return None
    return Label(kind.decode(), int(version))


def pack_value_row(row_key: bytes, value_row: ValueRow) -> bytes:
    """Encode a value row."""
    sequence, expires_at_us, received_at_us, from_owner, encoded, seq, sender = value_row
    fields = _VALUE_FIELDS.pack(
        _ROW_VERSION, len(sender) | from_owner, sequence, expires_at_us, received_at_us, seq
    )
    return seal(row_key, fields + sender + encoded)


def unpack_value_row(row_key: bytes, data: bytes) -> ValueRow | None:
    """Decode a value row; None if it is damaged."""
    row = _checked(row_key, data, _VALUE_HEADER)
    if row is None:
        return None
    _, _, origin, sequence, expires_at_us, received_at_us, seq = _VALUE_HEADER.unpack_from(row)
    value_at = _VALUE_HEADER.size + (origin & ~1)
    sender = row[_VALUE_HEADER.size : value_at]
    encoded = row[value_at:]
    return ValueRow(sequence, expires_at_us, received_at_us, origin & 1 == 1, encoded, seq, sender)


def charged_address(row_key: bytes, value_row: ValueRow) -> bytes:
    """Return the quota key of the peer that is charged for a value."""
    return (value_row.sender or row_key[ID_BYTES:])[ID_BYTES:-2][:8]


def subnet_row_key(subnet: bytes, value_row_key: bytes) -> bytes:
    """Return the key of a row of ``subnets``: the length of the subnet, the subnet, the value.

    Without the length, one prefix might stand for subnets of both families.
    """
    return bytes((len(subnet),)) + subnet + value_row_key


def split_subnet_row_key(row_key: bytes) -> tuple[bytes, bytes]:
    """Return the subnet and the key of the value row."""
    end = 1 + row_key[0]
    return row_key[1:end], row_key[end:]


def expiry_row_key(expires_at_us: int, value_row_key: bytes) -> bytes:
    """Return the key of a row in the expiry index, which sorts by time."""
    return expires_at_us.to_bytes(8, "big") + value_row_key


def split_expiry_row_key(row_key: bytes) -> tuple[int, bytes]:
    """Return the expiry and the key of the value row."""
    return int.from_bytes(row_key[:8], "big"), row_key[8:]


def pack_recency(sequence: int, expires_at_us: int, owner: bytes) -> bytes:
    """Encode a row of the index by recency, which sorts the most recent value first."""
    return _RECENCY_FIELDS.pack(_MAX_SEQUENCE - sequence, expires_at_us) + owner


def unpack_recency(row: bytes) -> tuple[int, int, bytes]:
    """Return the sequence, the expiry and the owner, packed."""
    inverted, expires_at_us = _RECENCY_FIELDS.unpack_from(row)
    return _MAX_SEQUENCE - inverted, expires_at_us, row[_RECENCY_FIELDS.size :]


def pack_counts(counts: StoreCounts) -> bytes:
    """Encode the counts."""
    return seal(COUNTS_KEY, _COUNTS_STRUCT.pack(*counts))


def unpack_counts(data: bytes) -> StoreCounts | None:
    """Decode the counts; None if they are damaged."""
    body = unseal(COUNTS_KEY, data)
    if body is None or len(body) != _COUNTS_STRUCT.size:
        return None
    return StoreCounts(*_COUNTS_STRUCT.unpack(body))


def pack_clock_sample(sample: ClockSample) -> bytes:
    """Encode a sample of the clocks."""
    times = _SAMPLE_STRUCT.pack(sample.disk_us, sample.clock_us, sample.wall_us)
    return seal(CLOCK_KEY, times + sample.boot_id)


def unpack_clock_sample(data: bytes) -> ClockSample | None:
    """Decode a sample of the clocks; None if it is damaged."""
    body = unseal(CLOCK_KEY, data)
    if body is None or len(body) < _SAMPLE_STRUCT.size:
        return None
    disk_us, clock_us, wall_us = _SAMPLE_STRUCT.unpack_from(body)
    return ClockSample(disk_us, clock_us, wall_us, body[_SAMPLE_STRUCT.size :])


def pack_usage(address: bytes, usage: int) -> bytes:
    """Encode the usage of an address."""
    return seal(address, usage.to_bytes(16, "big"))


def unpack_usage(address: bytes, data: bytes | None) -> int | None:
    """Decode the usage of an address; 0 if there is none, None if it is damaged."""
    if data is None:
        return 0
    body = data[4:]
    if crc32(body, crc32(address)) != int.from_bytes(data[:4], "big"):
        return None
    return int.from_bytes(body, "big")


def pack_node_id(node_id: bytes) -> bytes:
    """Encode the node's id."""
    return seal(NODE_ID_KEY, node_id)


def unpack_node_id(data: bytes) -> bytes | None:
    """Decode the node's id; None if it is damaged. In format 1 it had no checksum."""
    return data if len(data) == ID_BYTES else unseal(NODE_ID_KEY, data)


def pack_contact(row_key: bytes, contact: Contact) -> bytes:
    """Encode a contact."""
    return seal(row_key, contact.compact)


def unpack_contact(row_key: bytes, data: bytes) -> Contact | None:
    """Decode a contact; None if it is damaged. In format 1 the checksum omitted the key."""
    compact = unseal(row_key, data) or unseal(b"", data)
    try:
        return Contact.from_compact(compact) if compact else None
    except WireError:
        return None


def pack_publication(key: bytes, encoded: bytes, ttl: int, seq: int) -> bytes:
    """Encode a publication."""
    fields = _PUBLICATION_FIELDS.pack(_ROW_VERSION, to_microseconds(ttl), seq)
    return seal(key, fields + encoded)


def unpack_publication(key: bytes, data: bytes) -> tuple[bytes, int, int] | None:
    """Decode the value, the TTL in whole seconds, and the sequence number; None if damaged."""
    row = _checked(key, data, _PUBLICATION_HEADER)
    if row is None:
        return None
    _, _, ttl, seq = _PUBLICATION_HEADER.unpack_from(row)
    return row[_PUBLICATION_HEADER.size :], -(-ttl // 1_000_000), seq


def pack_tombstone(row_key: bytes, expires_at_us: int, seq: int) -> bytes:
    """Encode a tombstone, whose row key is that of the removed value."""
    return seal(row_key, _TOMBSTONE_FIELDS.pack(expires_at_us, seq))


def unpack_tombstone(row_key: bytes, data: bytes) -> tuple[int, int] | None:
    """Decode the expiry and the sequence number; None if they are damaged."""
    body = unseal(row_key, data)
    if body is None or len(body) != _TOMBSTONE_FIELDS.size:
        return None
    expires_at_us, seq = _TOMBSTONE_FIELDS.unpack(body)
    return expires_at_us, seq


def _checked(row_key: bytes, data: bytes, header: Struct) -> bytes | None:
    """Return a row whose header ends with ``seq``, in the present version; None if damaged."""
    v1_bytes = header.size - _SEQ_BYTES
    if len(data) < v1_bytes or data[:4] != crc32(data[4:], crc32(row_key)).to_bytes(4, "big"):
        return None
    if data[4] == 1:
        data = data[:v1_bytes] + bytes(_SEQ_BYTES) + data[v1_bytes:]
    elif data[4] != _ROW_VERSION:
        return None
    return data if len(data) >= header.size else None
