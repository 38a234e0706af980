"""ValueRows: the values of a store on disk and what is derived from them, with its repair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from kademlua.core.values.quotas import usage_of
from kademlua.core.values.store import NO_LIMIT
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import (
    ValueRow,
    charged_address,
    pack_value_row,
    unpack_recency,
    unpack_value_row,
)
from kademlua.storage.subnet_index import SubnetIndex
from kademlua.storage.totals import StoreTotals


class Selection(NamedTuple):
    """Which values of a key are read: see ``Store.page``."""

    limit: int = NO_LIMIT
    offset: int = 0
    max_bytes: int = NO_LIMIT
    expired_at_us: int = -1
    """Values that expire until then are skipped."""


class SelectedRows(NamedTuple):
    """Some rows of a key, the most recent first."""

    rows: list[tuple[bytes, ValueRow]]
    is_complete: bool
    """Whether no further row follows."""


_ALL = Selection()


class ValueRows:
    """The database ``values``, read by key and owner or in order of recency.

    Each change of it changes the indexes and the totals, too.
    """

    def __init__(
        self,
        write_buffer: WriteBuffer,
        expiry: ExpiryIndex,
        recency: RecencyIndex,
        subnets: SubnetIndex,
        totals: StoreTotals,
    ) -> None:
        self._write_buffer = write_buffer
        self._expiry = expiry
        self._recency = recency
        self._subnets = subnets
        self._totals = totals

    def get(self, row_key: bytes) -> ValueRow | None:
        """Return a row; None if there is none or it is damaged."""
        data = self._write_buffer.get("values", row_key)
        if data is None:
            return None
        value_row = unpack_value_row(row_key, data)
        if value_row is None:
            self._totals.repair()
        return value_row

    def select(self, key: bytes, selection: Selection = _ALL) -> SelectedRows:
        """Return the selected rows of a key; no other row is read."""
        while True:
            found = self._select(key, selection)
            if found is not None:
                return found
            self._totals.repair()

    def _select(self, key: bytes, selection: Selection) -> SelectedRows | None:
        """Return the selected rows; None if one is damaged or contradicts an index."""
        limit, offset, max_bytes, expired_at_us = selection
        rows: list[tuple[bytes, ValueRow]] = []
        earliest_us = self._expiry.earliest or 0
        index_rows: Iterator[bytes] = self._recency.rows(key)
        if expired_at_us >= 0:
            index_rows = (
                row
                for row in index_rows
                if not earliest_us <= unpack_recency(row)[1] <= expired_at_us
            )
        for index_row in islice(index_rows, offset, None):
            sequence, expires_at_us, owner = unpack_recency(index_row)
            row_key = key + owner
            data = self._write_buffer.get("values", row_key)
            value_row = unpack_value_row(row_key, data) if data is not None else None
            if (
                value_row is None
                or value_row[:2] != (sequence, expires_at_us)
                or expires_at_us < earliest_us  # not in the index by expiry
            ):
                return None
            max_bytes -= len(value_row.encoded)
            if max_bytes < 0 and rows:
                return SelectedRows(rows, is_complete=False)
            rows.append((row_key, value_row))
            if max_bytes <= 0 or len(rows) == limit:
                return SelectedRows(rows, is_complete=False)
        return SelectedRows(rows, is_complete=True)

    def keys_of_sequences(self, after: int, last: int) -> Iterator[bytes | None]:
        """Yield the keys of the rows numbered ``after + 1`` to ``last``, and None for each other.

        Rows may change meanwhile, and be committed.
        """
        for key in self._recency.keys():  # noqa: SIM118 - an index is no dictionary
            for index_row in list(self._recency.rows(key)):
                sequence, _, owner = unpack_recency(index_row)
                yield key + owner if after < sequence <= last else None

    def add(self, row_key: bytes, value_row: ValueRow) -> None:
        """Add a row where there is none."""
        address = charged_address(row_key, value_row)
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))
        self._expiry.add(value_row.expires_at_us, row_key)
        self._recency.add(row_key, value_row)
        self._subnets.add(address, row_key)
        self._totals.adjust(address, usage_of(len(value_row.encoded)))

    def replace(self, row_key: bytes, previous: ValueRow, value_row: ValueRow) -> None:
        """Replace a row by one that is charged to the same peer."""
        is_indexed = self._recency.remove(row_key, previous)
        self._expiry.remove(previous.expires_at_us, row_key)
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))
        self._expiry.add(value_row.expires_at_us, row_key)
        self._recency.add(row_key, value_row)
        if change := len(value_row.encoded) - len(previous.encoded):
            self._totals.adjust(charged_address(row_key, value_row), change)
        if not is_indexed:
            self._totals.repair()

    def refresh(self, row_key: bytes, value_row: ValueRow) -> None:
        """Replace a row by one that differs only in when it was received."""
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))

    def remove(self, row_key: bytes, value_row: ValueRow) -> None:
        """Remove a row."""
        is_indexed = self._recency.remove(row_key, value_row)
        self._expiry.remove(value_row.expires_at_us, row_key)
        self._write_buffer.put("values", row_key, None)
        address = charged_address(row_key, value_row)
        self._subnets.remove(address, row_key)
        self._totals.adjust(address, -usage_of(len(value_row.encoded)))
        if not is_indexed:
            self._totals.repair()

    def remove_due(self, due: Iterable[tuple[int, bytes]]) -> Iterator[tuple[bytes, ValueRow]]:
        """Remove and yield the rows that the index by expiry names; repair it if it is wrong."""
        is_damaged = False
        for expires_at_us, row_key in due:
            data = self._write_buffer.get("values", row_key)
            value_row = unpack_value_row(row_key, data) if data is not None else None
            if value_row is not None and value_row.expires_at_us == expires_at_us:
                self.remove(row_key, value_row)
                yield row_key, value_row
            else:
                is_damaged = True
        if is_damaged:
            self._totals.repair()
