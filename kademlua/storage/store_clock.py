"""StoreClock: the time of one store, saved in the store itself."""

from __future__ import annotations

from collections.abc import Iterator

from kademlua.core.contact import Contact
from kademlua.core.values.store import StoreEntry
from kademlua.runtime.clocks import Clocks
from kademlua.storage.disk_clock import DiskClock
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.row_format import (
    CLOCK_KEY,
    ClockSample,
    ValueRow,
    pack_clock_sample,
    unpack_clock_sample,
    unpack_value_row,
)
from kademlua.storage.totals import StoreTotals
from kademlua.storage.value_rows import ValueRows


class StoreClock:
    """Saves samples of a ``DiskClock``, and converts and corrects the times of rows."""

    def __init__(
        self,
        clocks: Clocks,
        environment: LmdbEnvironment,
        write_buffer: WriteBuffer,
        rows: ValueRows,
        totals: StoreTotals,
    ) -> None:
        """Continue the time of a store with the given totals."""
        self._write_buffer = write_buffer
        self._rows = rows
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

    def to_row(self, entry: StoreEntry, sequence: int) -> ValueRow:
        """Return the row of a value, given its number."""
        encoded, expires_at, from_owner, received_at, seq, sender = entry
        times = self.to_disk_us(expires_at), self.to_disk_us(received_at)
        compact = sender.compact if sender else b""
        return ValueRow(sequence, *times, from_owner, encoded, seq, compact)

    def to_entry(self, value_row: ValueRow) -> StoreEntry:
        """Return the value of a row."""
        _, expires_at_us, received_at_us, from_owner, encoded, seq, compact = value_row
        expires_at = self.to_clock_seconds(expires_at_us)
        received_at = self.to_clock_seconds(received_at_us)
        sender = Contact.from_compact(compact) if compact else None
        return StoreEntry(encoded, expires_at, from_owner, received_at, seq, sender)

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
        postponed = value_row._replace(
            expires_at_us=value_row.expires_at_us + microseconds,
            received_at_us=value_row.received_at_us + microseconds,
        )
        self._rows.replace(row_key, value_row, postponed)
