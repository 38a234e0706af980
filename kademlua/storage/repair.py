"""The repair of a store on disk: what is derived from its values is computed again from them."""

from __future__ import annotations

from typing import NamedTuple

from kademlua.core.values.quotas import subnet_key, usage_of
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import (
    META_KEYS,
    StoreCounts,
    ValueRow,
    charged_address,
    expiry_row_key,
    pack_usage,
    split_expiry_row_key,
    split_subnet_row_key,
    subnet_row_key,
    unpack_recency,
    unpack_value_row,
)


class Repair(NamedTuple):
    """The result of a repair."""

    counts: StoreCounts
    dropped_values: int


def repair(write_buffer: WriteBuffer, recency: RecencyIndex) -> Repair:
    """Drop damaged values; compute counts, usages and the indexes from the others.

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
        address, size = charged_address(row_key, value_row), len(value_row.encoded)
        for db_name, index_key in (
            ("ends", expiry_row_key(value_row.expires_at_us, row_key)),
            ("subnets", subnet_row_key(subnet_key(address), row_key)),
        ):
            if write_buffer.get(db_name, index_key) is None:
                write_buffer.put(db_name, index_key, b"")
        if not recency.contains(row_key, value_row):
            recency.add(row_key, value_row)
        usages[address] = usages.get(address, 0) + usage_of(size)
        entries, stored_bytes = entries + 1, stored_bytes + size
        sequence = max(sequence, value_row.sequence)
        latest_us = max(latest_us, value_row.received_at_us)
    # Each value is in the indexes now: if they have as many rows, none is stale.
    for db_name, is_stale in (("ends", _is_stale_end), ("subnets", _is_stale_subnet)):
        if sum(1 for _ in write_buffer.rows(db_name)) != entries:
            for row_key, _ in write_buffer.rows(db_name):
                if is_stale(write_buffer, row_key):
                    write_buffer.put(db_name, row_key, None)
    if sum(1 for _ in recency.all_rows()) != entries:
        _remove_stale_recencies(write_buffer, recency)
    for row_key, _ in write_buffer.rows("meta"):
        if row_key not in META_KEYS:
            write_buffer.put("meta", row_key, None)
    _replace_usages(write_buffer, usages)
    return Repair(StoreCounts(entries, stored_bytes, sequence, latest_us), dropped_values)


def _is_stale_end(write_buffer: WriteBuffer, index_key: bytes) -> bool:
    expires_at_us, row_key = split_expiry_row_key(index_key)
    value_row = _value_row(write_buffer, row_key)
    return value_row is None or value_row.expires_at_us != expires_at_us


def _is_stale_subnet(write_buffer: WriteBuffer, index_key: bytes) -> bool:
    subnet, row_key = split_subnet_row_key(index_key)
    value_row = _value_row(write_buffer, row_key)
    return value_row is None or subnet_key(charged_address(row_key, value_row)) != subnet


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
