"""LmdbStore: the value store on disk.

Times on disk are those of ``DiskClock``, so that remaining lifetimes survive the process. The
databases: ``values`` by key and owner; ``ends``, the same rows by expiry; ``addresses``, usage by
owner's address; ``meta``, the total counts and a sample of the clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.store import ENTRY_UNIT, QuotaUsage, StoreEntry, check_quotas, quota_key
from kademlua.runtime.clocks import Clocks
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.row_format import (
    FORMAT_VERSION,
    StoreCounts,
    ValueRow,
    pack_counts,
    pack_usage,
    pack_value_row,
    quota_key_of_row,
    unpack_counts,
    unpack_usage,
    unpack_value_row,
    value_size,
)
from kademlua.storage.store_clock import StoreClock

_COUNTS_KEY = b"counts"
_NODE_ID_KEY = b"id"
_EXPIRY_BATCH = 5_000
"""Values removed in one call of ``expire``, at most."""
_EXPIRY_BATCH_ON_PUT = 100
"""Values removed during a store, at most."""
_KEYS_PER_READ = 1_000


class LmdbStore:
    """One value per owner and key, with the quotas of ``MemoryStore``; durable once committed."""

    is_durable = True

    def __init__(
        self,
        path: Path,
        params: Params,
        *,
        clocks: Clocks | None = None,
        in_background: bool = True,
    ) -> None:
        """Open or create the file.

        Without ``in_background``, only ``when_durable``, ``flush`` and ``close`` commit.

        Raises:
            CorruptFile: the file is damaged or foreign.
            StorageError: the file has a newer version or cannot be opened.
        """
        db_names = ("values", "ends", "addresses", "meta")
        environment = LmdbEnvironment(path, "values", FORMAT_VERSION, db_names)
        self._environment = environment
        self._write_buffer = WriteBuffer(
            environment,
            prefix_db="values",
            prefix_bytes=ID_BYTES,
            in_background=in_background,
            before_commit=self._persist_counts,
            after_commit=self._on_commit,
        )
        self._params = params
        self._expiry = ExpiryIndex(environment, self._write_buffer)
        counts = self._load_counts()
        clocks = clocks or Clocks()
        self._clock = clocks.clock
        self._store_clock = StoreClock(
            clocks, environment, self._write_buffer, self._expiry, counts
        )
        self._to_disk_us = self._store_clock.to_disk_us
        self._to_clock_seconds = self._store_clock.to_clock_seconds

    def _load_counts(self) -> StoreCounts:
        counts = unpack_counts(self._environment.get("meta", _COUNTS_KEY))
        self._entry_count, self._stored_bytes, self._sequence, _ = counts
        return counts

    # Commits and closing

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back when all changes so far are committed, or lost."""
        self._write_buffer.when_durable(callback)

    def flush(self) -> None:
        """Block until all changes so far are committed or lost."""
        self._write_buffer.flush()

    def close(self) -> None:
        """Commit the remaining changes and close the file."""
        self._store_clock.update(self._clock())
        self._write_buffer.close()

    def _persist_counts(self) -> None:
        latest_us = self._store_clock.save()
        counts = StoreCounts(self._entry_count, self._stored_bytes, self._sequence, latest_us)
        self._write_buffer.put("meta", _COUNTS_KEY, pack_counts(counts))

    def _on_commit(self, failure: str | None) -> None:
        if failure is not None:
            self._load_counts()
        self._expiry.refresh()

    @property
    def node_id(self) -> bytes | None:
        """The id of the node that owns the store; None if it was not set."""
        return self._write_buffer.get("meta", _NODE_ID_KEY)

    @node_id.setter
    def node_id(self, node_id: bytes) -> None:
        self._write_buffer.put("meta", _NODE_ID_KEY, node_id)

    # Store interface

    def __len__(self) -> int:
        return self._entry_count

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""
        return self._stored_bytes

    def put(
        self,
        key: bytes,
        owner: Contact,
        entry: StoreEntry,
        *,
        overwrite: bool = False,
    ) -> None:
        """Store a value; see ``Store.put``. It is kept once ``when_durable`` has called back."""
        encoded, expires_at, from_owner, now = entry
        now_us, expires_at_us = self._to_disk_us(now), self._to_disk_us(expires_at)
        if self._expiry.is_due(now_us):
            self._expire_batch(now_us, _EXPIRY_BATCH_ON_PUT)
        row_key = key + owner.compact
        data = self._write_buffer.get("values", row_key)
        previous = unpack_value_row(row_key, data) if data is not None else None
        if (
            previous is not None
            and not from_owner
            and (previous.from_owner or previous.expires_at_us >= expires_at_us)
        ):
            refreshed = previous._replace(received_at_us=now_us)
            self._write_buffer.put("values", row_key, pack_value_row(row_key, refreshed))
            return
        replaced = {} if data is None else {row_key: data}
        if overwrite and self._params.overwrite_drops_others:
            replaced = self._write_buffer.rows_with_prefix(key)
        address = quota_key(owner)
        usage = QuotaUsage(
            entries=self._entry_count - len(replaced),
            key_entries=self._write_buffer.count_prefix(key) - len(replaced),
            stored_bytes=self._stored_bytes - sum(map(value_size, replaced.values())),
            address_usage=unpack_usage(self._write_buffer.get("addresses", address))
            - sum(
                value_size(each) + ENTRY_UNIT
                for gone, each in replaced.items()
                if quota_key_of_row(gone) == address
            ),
        )
        check_quotas(self._params, len(encoded), usage)
        for replaced_key, each in replaced.items():
            self._delete_row(replaced_key, each)
        self._sequence += 1
        value_row = ValueRow(self._sequence, expires_at_us, now_us, from_owner, encoded)
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))
        self._expiry.add(expires_at_us, row_key)
        self._adjust_counts(row_key, 1, len(encoded))

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        if limit <= 0:
            return []
        now_us = self._to_disk_us(now)
        live_rows = [row for _, row in self._value_rows(key) if row.expires_at_us > now_us]
        if len(live_rows) > 1:
            live_rows.sort(reverse=True)
        return [record.encoded for record in live_rows[:limit]]

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""
        return [
            (
                Contact.from_compact(row[ID_BYTES:]),
                StoreEntry(
                    record.encoded,
                    self._to_clock_seconds(record.expires_at_us),
                    record.from_owner,
                    self._to_clock_seconds(record.received_at_us),
                ),
            )
            for row, record in sorted(self._value_rows(key), key=lambda each: each[1].sequence)
        ]

    def keys(self) -> Iterator[bytes]:
        """Yield the keys that have values; concurrent changes may or may not appear."""
        last_key = b""
        while found := self._keys_after(last_key):
            yield from found
            last_key = found[-1]

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""
        row_key = key + owner.compact
        data = self._write_buffer.get("values", row_key)
        if data is None:
            return False
        self._delete_row(row_key, data)
        return True

    def expire(self, now: float) -> int:
        """Remove expired values, at most 5,000 of those on disk, and return their number."""
        self._store_clock.update(now)
        return self._expire_batch(self._to_disk_us(now), _EXPIRY_BATCH)

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""
        earliest_us = self._expiry.earliest
        return None if earliest_us is None else self._to_clock_seconds(earliest_us)

    # Internals

    def _value_rows(self, key: bytes) -> list[tuple[bytes, ValueRow]]:
        """Return the rows of a key; damaged ones are removed."""
        found = []
        for row_key, data in self._write_buffer.rows_with_prefix(key).items():
            value_row = unpack_value_row(row_key, data)
            if value_row is not None:
                found.append((row_key, value_row))
            else:
                self._delete_row(row_key, data)
        return found

    def _keys_after(self, after_key: bytes) -> list[bytes]:
        """Return some keys after ``after_key``, sorted; none at the end."""
        found: set[bytes] = set()
        last_read = after_key
        cursor = self._environment.cursors["values"]
        while len(found) < _KEYS_PER_READ:
            # No row of a key is as long as this, and none of the next key comes before it.
            if not cursor.set_range(last_read + b"\xff" * 64 if last_read else b""):
                break
            last_read = cursor.key()[:ID_BYTES]
            found.add(last_read)
        is_complete = len(found) < _KEYS_PER_READ
        for batch in self._write_buffer.batches:
            for key in batch.row_keys_by_prefix:
                if key > after_key and (is_complete or key <= last_read):
                    found.add(key)
        buffer = self._write_buffer
        changed = set().union(*(batch.row_keys_by_prefix for batch in buffer.batches))
        existing = [key for key in found if key not in changed or buffer.count_prefix(key)]
        if not existing and not is_complete:
            return self._keys_after(last_read)
        return sorted(existing)

    def _expire_batch(self, now_us: int, max_rows: int) -> int:
        """Remove expired values, at most ``max_rows`` of those on disk; return their number."""
        expired_count = 0
        for expires_at_us, row_key in self._expiry.pop_due(now_us, max_rows):
            data = self._write_buffer.get("values", row_key)
            if data is None:
                continue
            value_row = unpack_value_row(row_key, data)
            if value_row is None or value_row.expires_at_us == expires_at_us:
                self._delete_row(row_key, data)
                expired_count += 1
        return expired_count

    def _delete_row(self, row_key: bytes, data: bytes) -> None:
        value_row = unpack_value_row(row_key, data)
        if value_row is not None:
            self._expiry.remove(value_row.expires_at_us, row_key)
        self._write_buffer.put("values", row_key, None)
        self._adjust_counts(row_key, -1, -value_size(data))

    def _adjust_counts(self, row_key: bytes, entries: int, stored_bytes: int) -> None:
        self._entry_count += entries
        self._stored_bytes += stored_bytes
        address = quota_key_of_row(row_key)
        usage = unpack_usage(self._write_buffer.get("addresses", address))
        usage += entries * ENTRY_UNIT + stored_bytes
        self._write_buffer.put("addresses", address, pack_usage(usage) if usage > 0 else None)
