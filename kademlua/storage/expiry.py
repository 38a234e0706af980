"""ExpiryIndex: the rows of a store on disk, sorted by expiry."""

from __future__ import annotations

from collections.abc import Iterator

from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.row_format import expiry_row_key, split_expiry_row_key

_NEVER = 1 << 64


class ExpiryIndex:
    """The database ``ends``: a row for each value, its expiry first. Times are microseconds."""

    def __init__(self, environment: LmdbEnvironment, write_buffer: WriteBuffer) -> None:
        self._environment = environment
        self._write_buffer = write_buffer
        self.refresh()

    def refresh(self) -> None:
        """Find the earliest expiry, on disk and among uncommitted changes."""
        self._scan_from = b""
        self._next_on_disk = _NEVER
        self._next_pending = min(
            (
                split_expiry_row_key(row)[0]
                for batch in self._write_buffer.batches
                for row, data in batch.changes.get("ends", {}).items()
                if data is not None
            ),
            default=_NEVER,
        )
        cursor = self._environment.cursor("ends")
        if cursor.first():
            self._next_on_disk = split_expiry_row_key(cursor.key())[0]

    @property
    def earliest(self) -> int | None:
        """The earliest time at which a row may be due; None without rows."""
        earliest = min(self._next_on_disk, self._next_pending)
        return None if earliest == _NEVER else earliest

    def is_due(self, now: int) -> bool:
        """Return whether a row may be due."""
        return now >= self._next_on_disk or now >= self._next_pending

    def add(self, expires_at: int, value_row_key: bytes) -> None:
        """Add the row of a value."""
        self._write_buffer.put("ends", expiry_row_key(expires_at, value_row_key), b"")
        self._next_pending = min(self._next_pending, expires_at)

    def remove(self, expires_at: int, value_row_key: bytes) -> None:
        """Remove the row of a value."""
        self._write_buffer.put("ends", expiry_row_key(expires_at, value_row_key), None)

    def pop_due(self, now: int, max_rows: int) -> Iterator[tuple[int, bytes]]:
        """Remove and yield due rows, at most ``max_rows`` of those on disk.

        Each is the expiry and the key of the value's row. The caller may let other greenlets run
        in between.
        """
        if self._next_pending <= now:
            yield from self._pop_pending(now)
        scanned_count = 0
        while self._next_on_disk <= now and scanned_count < max_rows:
            scanned_count += 1
            cursor = self._environment.cursor("ends")  # a commit replaces it
            if not cursor.set_range(self._scan_from):
                self._next_on_disk = _NEVER
                break
            row_key = cursor.key()
            self._next_on_disk = split_expiry_row_key(row_key)[0]
            if self._next_on_disk <= now:
                self._scan_from = row_key + b"\0"
                if self._write_buffer.get("ends", row_key) is not None:  # not removed meanwhile
                    self._write_buffer.put("ends", row_key, None)
                    yield split_expiry_row_key(row_key)

    def _pop_pending(self, now: int) -> Iterator[tuple[int, bytes]]:
        self._next_pending = _NEVER
        for batch in list(self._write_buffer.batches):
            for row_key, data in list(batch.changes.get("ends", {}).items()):
                if data is None or self._write_buffer.get("ends", row_key) is None:
                    continue
                expires_at, value_row_key = split_expiry_row_key(row_key)
                if expires_at <= now:
                    self._write_buffer.put("ends", row_key, None)
                    yield expires_at, value_row_key
                else:
                    self._next_pending = min(self._next_pending, expires_at)
