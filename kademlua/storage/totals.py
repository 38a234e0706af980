"""StoreTotals: what a store counts, and its repair from the values."""

from __future__ import annotations

import logging

from kademlua.core.values.quotas import ENTRY_UNIT
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.repair import repair
from kademlua.storage.row_format import (
    COUNTS_KEY,
    StoreCounts,
    pack_counts,
    pack_usage,
    unpack_counts,
    unpack_usage,
)

logger = logging.getLogger(__name__)


class StoreTotals:
    """The counts of a store and the usage of each owner's address."""

    def __init__(
        self,
        environment: LmdbEnvironment,
        write_buffer: WriteBuffer,
        expiry: ExpiryIndex,
        recency: RecencyIndex,
    ) -> None:
        """Read the counts; if they are damaged, compute them from the values."""
        self._environment = environment
        self._write_buffer = write_buffer
        self._expiry = expiry
        self._recency = recency
        data = environment.get("meta", COUNTS_KEY)
        counts = unpack_counts(data) if data is not None else None
        if data is None and not environment.cursor("values").first():
            counts = StoreCounts()
        if counts is not None:
            self._set(counts)
        if counts is None or not self._agrees_with_rows() or not self._agrees_with_usages():
            self.repair()
        self._committed = self._committing = self._counts(self.latest_us)

    def _set(self, counts: StoreCounts) -> None:
        self.entries, self.stored_bytes, self.sequence, self.latest_us = counts

    def _agrees_with_rows(self) -> bool:
        row_count = self._environment.row_count
        return all(row_count(name) == self.entries for name in ("values", "ends", "recent"))

    def _agrees_with_usages(self) -> bool:
        total = 0
        for address, data in self._write_buffer.rows("addresses"):
            usage = unpack_usage(address, data)
            if usage is None:
                return False
            total += usage
        return total == self.entries * ENTRY_UNIT + self.stored_bytes

    def _counts(self, latest_us: int) -> StoreCounts:
        return StoreCounts(self.entries, self.stored_bytes, self.sequence, latest_us)

    def persist(self, latest_us: int) -> None:
        """Add the counts to the batch that is committed next."""
        self._committing = self._counts(latest_us)
        self._write_buffer.put("meta", COUNTS_KEY, pack_counts(self._committing))

    def on_commit(self, *, failed: bool) -> None:
        """Return to the counts of the last commit if this one ``failed``."""
        if failed:
            self._set(self._committed)
        else:
            self._committed = self._committing

    def usage(self, address: bytes) -> int:
        """Return the usage of an address, in ``ENTRY_UNIT`` and bytes."""
        usage = self._read_usage(address)
        if usage is None:
            self.repair()
            usage = self._read_usage(address)
        return usage or 0

    def _read_usage(self, address: bytes) -> int | None:
        return unpack_usage(address, self._write_buffer.get("addresses", address))

    def adjust(
        self, address: bytes, entries: int, stored_bytes: int, usage: int | None = None
    ) -> None:
        """Count a row that was added or deleted; ``usage`` is that of its owner's address before,
        if it is known."""
        if usage is None:
            usage = self._read_usage(address)
        change = entries * ENTRY_UNIT + stored_bytes
        if usage is None or usage + change < 0:
            self.repair()  # counts this row, too
            return
        self.entries += entries
        self.stored_bytes += stored_bytes
        row = pack_usage(address, usage + change) if usage + change else None
        self._write_buffer.put("addresses", address, row)

    def repair(self) -> None:
        """Make all rows agree with the undamaged values, after a row was found damaged."""
        counts, dropped_values = repair(self._write_buffer, self._recency)
        self._set(counts)
        self._expiry.refresh()
        path = self._environment.path
        if self._environment.is_older:
            logger.info("%s was converted from an older format", path)
        else:
            logger.warning(
                "%s: damaged rows were found; %d values are lost, the rest was repaired",
                path,
                dropped_values,
            )
