"""The rows on disk: each is decoded to what was encoded, and each flipped bit is detected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kademlua.core.contact import Contact
from kademlua.storage import row_format
from kademlua.storage.row_format import COUNTS_KEY, NODE_ID_KEY, Label, StoreCounts, ValueRow

KEY = b"k" * 20
CONTACT = Contact("192.0.2.1", 7, b"A" * 20)
COUNTS = StoreCounts(3, 30, 7, 10**15)
VALUE = ValueRow(7, 10**15, 10**15 - 1, True, b"5:hello", 9)

Unpack = Callable[[bytes, bytes], Any]
ROWS: dict[str, tuple[bytes, bytes, Unpack, Any]] = {
    "value": (KEY, row_format.pack_value_row(KEY, VALUE), row_format.unpack_value_row, VALUE),
    "counts": (
        COUNTS_KEY,
        row_format.pack_counts(COUNTS),
        lambda _, data: row_format.unpack_counts(data),
        COUNTS,
    ),
    "usage": (KEY[:4], row_format.pack_usage(KEY[:4], 70), row_format.unpack_usage, 70),
    "id": (
        NODE_ID_KEY,
        row_format.pack_node_id(KEY),
        lambda _, data: row_format.unpack_node_id(data),
        KEY,
    ),
    "contact": (
        b"\0\1",
        row_format.pack_contact(b"\0\1", CONTACT),
        row_format.unpack_contact,
        CONTACT,
    ),
    "publication": (
        KEY,
        row_format.pack_publication(KEY, b"1:a", 60, 9),
        row_format.unpack_publication,
        (b"1:a", 60, 9),
    ),
    "tombstone": (KEY, row_format.pack_tombstone(KEY, 70, 9), row_format.unpack_tombstone, (70, 9)),
    "label": (
        b"format",
        row_format.pack_label("values", 2),
        lambda _, data: row_format.unpack_label(data),
        Label("values", 2),
    ),
}


@pytest.mark.parametrize("kind", ROWS)
def test_row_is_decoded(kind: str) -> None:
    row_key, data, unpack, content = ROWS[kind]
    assert unpack(row_key, data) == content


@pytest.mark.parametrize("kind", ROWS)
def test_each_flipped_bit_is_detected(kind: str) -> None:
    row_key, data, unpack, _ = ROWS[kind]
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unpack(row_key, bytes(flipped)) is None


@pytest.mark.parametrize("kind", ROWS)
def test_row_that_is_cut_short_is_detected(kind: str) -> None:
    row_key, data, unpack, _ = ROWS[kind]
    for length in range(len(data)):
        if (kind, length) in (("label", len(b"kademlua values 2")), ("id", 20)):
            continue  # as in format 1, which had no checksum there
        assert unpack(row_key, data[:length]) is None


@pytest.mark.parametrize("kind", ["value", "usage", "publication", "contact"])
def test_row_under_another_key_is_detected(kind: str) -> None:
    row_key, data, unpack, _ = ROWS[kind]
    assert unpack(bytes([row_key[0] ^ 1]) + row_key[1:], data) is None


def test_rows_of_version_1_have_no_sequence_number() -> None:
    times = (1).to_bytes(8, "big") + (2).to_bytes(8, "big") + (3).to_bytes(8, "big")
    value = row_format.seal(KEY, b"\1\1" + times + b"1:a")
    assert row_format.unpack_value_row(KEY, value) == ValueRow(1, 2, 3, True, b"1:a", 0)
    publication = row_format.seal(KEY, b"\1" + (60_000_000).to_bytes(8, "big") + b"1:a")
    assert row_format.unpack_publication(KEY, publication) == (b"1:a", 60, 0)
