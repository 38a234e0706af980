"""The repair of a store on disk: what is derived from its values is computed again from them."""

from __future__ import annotations

from typing import NamedTuple

from kademlua.core.values.quotas import ENTRY_UNIT
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import (
    META_KEYS,
    StoreCounts,
    ValueRow,
    expiry_row_key,
    pack_usage,
    quota_key_of_row,
    split_expiry_row_key,
    unpack_recency,
    unpack_value_row,
)


class Repair(NamedTuple):
    """The result of a repair."""

    counts: StoreCounts
    dropped_values: int


def repair(write_buffer: WriteBuffer, recency: RecencyIndex) -> Repair:
    """Drop damaged values; compute counts, usages and both indexes from the others.

    It reads all rows, which takes some seconds per million values.
    """
    entries = stored_bytes = sequence = latest_us = dropped_values = 0
    usages: dict[bytes, int] = {}
    for row_key, data in write_buffer.rows("values"):
        value_row = unpack_value_row(row_key, data)
        if value_row is None:
            dropped_values += 1
            write_buffer.put("values", row_key, None)
            continue
        index_key = expiry_row_key(value_row.expires_at_us, row_key)
        if write_buffer.get("ends", index_key) is None:
            write_buffer.put("ends", index_key, b"")
        if not recency.contains(row_key, value_row):
            recency.add(row_key, value_row)
        address, size = quota_key_of_row(row_key), len(value_row.encoded)
        usages[address] = usages.get(address, 0) + ENTRY_UNIT + size
        entries, stored_bytes = entries + 1, stored_bytes + size
        sequence = max(sequence, value_row.sequence)
        latest_us = max(latest_us, value_row.received_at_us)
    # Each value is in both indexes now: if they have as many rows, none is stale.
    if sum(1 for _ in write_buffer.rows("ends")) != entries:
        _remove_stale_expiries(write_buffer)
    if sum(1 for _ in recency.all_rows()) != entries:
        _remove_stale_recencies(write_buffer, recency)
    for row_key, _ in write_buffer.rows("meta"):
        if row_key not in META_KEYS:
            write_buffer.put("meta", row_key, None)
    _replace_usages(write_buffer, usages)
    return Repair(StoreCounts(entries, stored_bytes, sequence, latest_us), dropped_values)


def _remove_stale_expiries(write_buffer: WriteBuffer) -> None:
    for index_key, _ in write_buffer.rows("ends"):
        expires_at_us, row_key = split_expiry_row_key(index_key)
        value_row = _value_row(write_buffer, row_key)
        if value_row is None or value_row.expires_at_us != expires_at_us:
            write_buffer.put("ends", index_key, None)


def _remove_stale_recencies(write_buffer: WriteBuffer, recency: RecencyIndex) -> None:
    for key, row in recency.all_rows():
        sequence, expires_at_us, owner = unpack_recency(row)
        value_row = _value_row(write_buffer, key + owner)
        if value_row is None or value_row[:2] != (sequence, expires_at_us):
            write_buffer.put_index_row(key, row, is_present=False)


def _value_row(write_buffer: WriteBuffer, row_key: bytes) -> ValueRow | None:
    data = write_buffer.get("values", row_key)
    return unpack_value_row(row_key, data) if data is not None else None


def _replace_usages(write_buffer: WriteBuffer, usages: dict[bytes, int]) -> None:
    previous = dict(write_buffer.rows("addresses"))
    rows = {address: pack_usage(address, usage) for address, usage in usages.items()}
    for address in previous.keys() | rows.keys():
        if previous.get(address) != rows.get(address):
            write_buffer.put("addresses", address, rows.get(address))
