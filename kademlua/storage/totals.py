"""StoreTotals: what a store counts, and its repair from the values."""

from __future__ import annotations

import logging

from kademlua.core.values.quotas import (
    StoreUsage,
    entries_of,
    subnet_key,
    value_bytes_of,
)
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

_DATABASES_OF_VALUES = ("values", "ends", "recent", "subnets")
"""Those with one row for each value."""


class StoreTotals:
    """The counts of a store and the usage of each address and subnet that sent values."""

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
        self._usage = StoreUsage()
        self._changed_usages: dict[bytes, int] = {}
        """The usages of addresses that are not in the batch to be committed yet."""
        self.sequence = self.latest_us = 0
        if (
            counts is None
            or environment.is_older
            or not self._read(counts)
            or not self._agrees_with_rows()
        ):
            self.repair()
        self._committed = self._committing = self._counts(self.latest_us)

    @property
    def usage(self) -> StoreUsage:
        """The usage in total and by subnet; read-only for callers."""
        return self._usage

    @property
    def entries(self) -> int:
        """The number of values."""
        return entries_of(self._usage.total)

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""
        return value_bytes_of(self._usage.total)

    def _read(self, counts: StoreCounts) -> bool:
        """Take over counts, and add up the usages of all addresses; return whether these agree."""
        entries, stored_bytes, self.sequence, self.latest_us = counts
        self._usage = StoreUsage()
        self._changed_usages = {}
        for address, data in self._write_buffer.rows("addresses"):
            usage = unpack_usage(address, data)
            if usage is None:
                return False
            self._usage.add(subnet_key(address), usage)
        return (self.entries, self.stored_bytes) == (entries, stored_bytes)

    def _agrees_with_rows(self) -> bool:
        row_count = self._environment.row_count
        return all(row_count(name) == self.entries for name in _DATABASES_OF_VALUES)

    def _counts(self, latest_us: int) -> StoreCounts:
        return StoreCounts(self.entries, self.stored_bytes, self.sequence, latest_us)

    def persist(self, latest_us: int) -> None:
        """Add the counts and usages to the batch that is committed next."""
        for address, usage in self._changed_usages.items():
            row = pack_usage(address, usage) if usage else None
            self._write_buffer.put("addresses", address, row)
        self._changed_usages = {}
        self._committing = self._counts(latest_us)
        self._write_buffer.put("meta", COUNTS_KEY, pack_counts(self._committing))

    def on_commit(self, *, failed: bool) -> None:
        """Return to the counts of the last commit if this one ``failed``."""
        if not failed:
            self._committed = self._committing
        elif not self._read(self._committed):
            self.repair()

    def usage_at(self, address: bytes) -> int:
        """Return the usage of an address, in ``ENTRY_UNIT`` and charged bytes."""
        usage = self._read_usage(address)
        if usage is None:
            self.repair()
            usage = self._read_usage(address)
        return usage or 0

    def _read_usage(self, address: bytes) -> int | None:
        usage = self._changed_usages.get(address)
        if usage is not None:
            return usage
        return unpack_usage(address, self._write_buffer.get("addresses", address))

    def adjust(self, address: bytes, change: int) -> None:
        """Add a ``change`` to the usage of the address that is charged for a row."""
        usage = self._read_usage(address)
        if usage is None or usage + change < 0:
            self.repair()  # counts this row, too
            return
        self._changed_usages[address] = usage + change
        self._usage.add(subnet_key(address), change)

    def repair(self) -> None:
        """Make all rows agree with the undamaged values, after a row was found damaged."""
        counts, dropped_values = repair(self._write_buffer, self._recency)
        self._read(counts)
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
