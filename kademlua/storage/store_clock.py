"""StoreClock: the time of one store, saved in the store itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

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
        self._totals = totals
        self._sequence_at_start = totals.sequence
        self._corrections: list[Iterator[None]] = []
        """The corrections in progress, oldest first."""
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
        times = self.to_disk_us(entry.expires_at), self.to_disk_us(entry.received_at)
        compact = entry.sender.compact if entry.sender else b""
        return ValueRow(sequence, *times, entry.from_owner, entry.encoded, entry.seq, compact)

    def to_entry(self, value_row: ValueRow) -> StoreEntry:
        """Return the value of a row."""
        _, expires_at_us, received_at_us, from_owner, encoded, seq, compact = value_row
        expires_at = self.to_clock_seconds(expires_at_us)
        received_at = self.to_clock_seconds(received_at_us)
        sender = Contact.from_compact(compact) if compact else None
        return StoreEntry(encoded, expires_at, received_at, seq, sender, from_owner=from_owner)

    def save(self) -> int:
        """Add a sample of the clocks to the next commit, and return its time on disk."""
        sample = self._disk_clock.sample()
        self._write_buffer.put("meta", CLOCK_KEY, pack_clock_sample(sample))
        return sample.disk_us

    def update(self, now: float, pace: Callable[[Iterable[None]], Iterable[None]] = iter) -> None:
        """Correct the downtime, and save a sample if one is due.

        ``pace`` may run other greenlets while rows are corrected.
        """
        correction_us = self._disk_clock.correct_downtime(now)
        if correction_us:
            last_sequence = self._totals.sequence  # later rows have the corrected time
            self._corrections.append(self._postpone_all(correction_us, last_sequence))
        if correction_us or self._disk_clock.needs_sample:
            self.save()
        while self._corrections:
            correction = self._corrections[0]
            for _ in pace(correction):
                pass
            if correction in self._corrections:  # another greenlet may have ended it
                self._corrections.remove(correction)

    @property
    def is_correcting(self) -> bool:
        """Whether rows are still to be corrected: their times are wrong."""
        return bool(self._corrections)

    def _postpone_all(self, microseconds: int, last_sequence: int) -> Iterator[None]:
        """Move the times of the rows since the start; yield after each row of the store."""
        for row_key in self._rows.keys_of_sequences(self._sequence_at_start, last_sequence):
            value_row = None if row_key is None else self._rows.get(row_key)
            if row_key is None or value_row is None:
                pass
            elif value_row.sequence <= last_sequence:  # otherwise it was replaced meanwhile
                self._postpone(row_key, value_row, microseconds)
            yield

    def _postpone(self, row_key: bytes, value_row: ValueRow, microseconds: int) -> None:
        """Move the times of a row."""
        postponed = value_row._replace(
            expires_at_us=value_row.expires_at_us + microseconds,
            received_at_us=value_row.received_at_us + microseconds,
        )
        self._rows.replace(row_key, value_row, postponed)
