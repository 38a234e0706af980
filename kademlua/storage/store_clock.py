"""StoreClock: the time of one store, saved in the store itself."""

from __future__ import annotations

from collections.abc import Iterator

from kademlua.runtime.clocks import Clocks
from kademlua.storage.disk_clock import DiskClock
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import (
    CLOCK_KEY,
    ClockSample,
    ValueRow,
    pack_clock_sample,
    pack_value_row,
    unpack_clock_sample,
    unpack_value_row,
)
from kademlua.storage.totals import StoreTotals


class StoreClock:
    """Saves samples of a ``DiskClock``, and applies its corrections to the rows."""

    def __init__(
        self,
        clocks: Clocks,
        environment: LmdbEnvironment,
        write_buffer: WriteBuffer,
        expiry: ExpiryIndex,
        recency: RecencyIndex,
        totals: StoreTotals,
    ) -> None:
        """Continue the time of a store with the given totals."""
        self._write_buffer = write_buffer
        self._expiry = expiry
        self._recency = recency
        self._sequence_at_start = totals.sequence
        sample = None
        if data := environment.get("meta", CLOCK_KEY):
            sample = unpack_clock_sample(data)
        # Before there were samples, the time on disk was the wall clock.
        if sample is None and totals.latest_us:
            sample = ClockSample(totals.latest_us, 0, totals.latest_us)
        self._disk_clock = DiskClock(clocks, sample)
        self.to_disk_us = self._disk_clock.to_disk_us
        """Return a time of the node's clock as microseconds on disk."""
        self.to_clock_seconds = self._disk_clock.to_clock_seconds
        """Return a time on disk as seconds of the node's clock."""

    def save(self) -> int:
        """Add a sample of the clocks to the next commit, and return its time on disk."""
        sample = self._disk_clock.sample()
        self._write_buffer.put("meta", CLOCK_KEY, pack_clock_sample(sample))
        return sample.disk_us

    def update(self, now: float) -> None:
        """Correct the downtime, and save a sample if one is due."""
        correction_us = self._disk_clock.correct_downtime(now)
        if correction_us:
            for row_key, value_row in list(self._rows_since_start()):
                self._postpone(row_key, value_row, correction_us)
        if correction_us or self._disk_clock.needs_sample:
            self.save()

    def _rows_since_start(self) -> Iterator[tuple[bytes, ValueRow]]:
        for row_key, data in self._write_buffer.rows("values"):
            value_row = unpack_value_row(row_key, data)
            if value_row is not None and value_row.sequence > self._sequence_at_start:
                yield row_key, value_row

    def _postpone(self, row_key: bytes, value_row: ValueRow, microseconds: int) -> None:
        """Move the times of a row."""
        self._expiry.remove(value_row.expires_at_us, row_key)
        self._recency.remove(row_key, value_row)
        value_row = value_row._replace(
            expires_at_us=value_row.expires_at_us + microseconds,
            received_at_us=value_row.received_at_us + microseconds,
        )
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))
        self._expiry.add(value_row.expires_at_us, row_key)
        self._recency.add(row_key, value_row)
