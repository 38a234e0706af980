"""LmdbStore: the value store on disk.

Times on disk are those of ``DiskClock``, so that remaining lifetimes survive the process. The
databases: ``values`` by key and owner; ``ends``, the same rows by expiry; ``recent``, the same by
key and recency; ``addresses``, usage by owner's address; ``tombstones``, by key and owner;
``meta``, the total counts and a sample of the clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.quotas import ENTRY_UNIT, QuotaUsage, check_quotas, quota_key
from kademlua.core.values.store import NO_LIMIT, StoreEntry, ValuePage, is_replacement
from kademlua.runtime.clocks import Clocks
from kademlua.runtime.time_slices import in_slices
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_tombstones import LmdbTombstones
from kademlua.storage.node_id import read_node_id, write_node_id
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import (
    FORMAT_VERSION,
    ValueRow,
    pack_value_row,
    quota_key_of_row,
    unpack_recency,
    unpack_value_row,
)
from kademlua.storage.store_clock import StoreClock
from kademlua.storage.totals import StoreTotals
from kademlua.storage.value_rows import Selection, ValueRows

_DATABASES = ("values", "ends", "recent", "addresses", "tombstones", "meta")
_EXPIRY_BATCH = 5_000
"""Values removed in one call of ``expire``, at most."""
_EXPIRY_BATCH_ON_PUT = 100
"""Values removed during a store, at most."""


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
        clocks = clocks or Clocks()
        self._clock = clocks.clock
        environment = LmdbEnvironment(path, "values", FORMAT_VERSION, _DATABASES, index_db="recent")
        self._write_buffer = WriteBuffer(
            environment,
            index_db="recent",
            in_background=in_background,
            before_commit=self._persist_counts,
            after_commit=self._on_commit,
            clock=self._clock,
        )
        self._params = params
        self._recency = RecencyIndex(environment, self._write_buffer)
        with environment.first_reads():
            self._expiry = ExpiryIndex(environment, self._write_buffer)
            self._totals = StoreTotals(environment, self._write_buffer, self._expiry, self._recency)
        self._rows = ValueRows(self._write_buffer, self._expiry, self._recency, self._totals)
        self._store_clock = StoreClock(
            clocks, environment, self._write_buffer, self._expiry, self._recency, self._totals
        )
        self._to_disk_us = self._store_clock.to_disk_us
        self._to_clock_seconds = self._store_clock.to_clock_seconds
        tombstones = LmdbTombstones(self._write_buffer, self._to_disk_us)
        self.tombstones = tombstones.load(self._to_clock_seconds)

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
        self._totals.persist(self._store_clock.save())

    def _on_commit(self, failure: str | None) -> None:
        self._totals.on_commit(failed=failure is not None)
        self._expiry.refresh()

    @property
    def node_id(self) -> bytes | None:
        """The id of the node that owns the store; None if it was not set or is damaged."""
        return read_node_id(self._write_buffer)

    def set_node_id(self, node_id: bytes) -> bool:
        """Store the id of the node that owns the store; return whether that changed anything."""
        return write_node_id(self._write_buffer, node_id)

    # Store interface

    def __len__(self) -> int:
        return self._totals.entries

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""
        return self._totals.stored_bytes

    def put(
        self,
        key: bytes,
        owner: Contact,
        entry: StoreEntry,
        *,
        overwrite: bool = False,
    ) -> None:
        """Store a value; see ``Store.put``. It is kept once ``when_durable`` has called back."""
        encoded, expires_at, from_owner, now, seq = entry
        now_us, expires_at_us = self._to_disk_us(now), self._to_disk_us(expires_at)
        if self._expiry.is_due(now_us):
            self._remove_expired(self._expiry.pop_due(now_us, _EXPIRY_BATCH_ON_PUT))
        row_key = key + owner.compact
        previous = self._rows.get(row_key)
        if previous is not None:
            if not is_replacement(self._to_entry(previous), entry):
                refreshed = previous._replace(received_at_us=now_us)
                self._write_buffer.put("values", row_key, pack_value_row(row_key, refreshed))
                return
            seq = seq or previous.seq
        replaced = {} if previous is None else {row_key: previous}
        if overwrite and self._params.overwrite_drops_others:
            replaced = dict(self._rows.select(key).rows)
        address = quota_key(owner)
        address_usage = self._totals.usage(address)
        usage = QuotaUsage(
            entries=self._totals.entries - len(replaced),
            key_entries=self._recency.count(key) - len(replaced),
            stored_bytes=self._totals.stored_bytes
            - sum(len(each.encoded) for each in replaced.values()),
            address_usage=address_usage
            - sum(
                len(each.encoded) + ENTRY_UNIT
                for gone, each in replaced.items()
                if quota_key_of_row(gone) == address
            ),
        )
        check_quotas(self._params, len(encoded), usage)
        for replaced_key, each in replaced.items():
            self._delete_row(replaced_key, each)
        self._totals.sequence += 1
        value_row = ValueRow(self._totals.sequence, expires_at_us, now_us, from_owner, encoded, seq)
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))
        self._expiry.add(expires_at_us, row_key)
        self._recency.add(row_key, value_row)
        self._totals.adjust(address, 1, len(encoded), None if replaced else address_usage)

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        return self.page(key, limit, now).values

    def page(
        self, key: bytes, limit: int, now: float, *, offset: int = 0, max_bytes: int = NO_LIMIT
    ) -> ValuePage:
        """Return some values of a key; see ``Store.page``."""
        if limit <= 0 or (offset and offset >= self._recency.count(key)):
            return ValuePage([], 0)
        now_us = self._to_disk_us(now)
        expired_at_us = now_us if self._expiry.is_due(now_us) else -1
        selection = Selection(limit, offset, max_bytes, expired_at_us)
        rows, is_complete = self._rows.select(key, selection)
        values = [value_row.encoded for _, value_row in rows]
        if is_complete:
            return ValuePage(values, 0)
        return ValuePage(values, min(limit, self._recency.count(key) - offset) - len(values))

    def count(self, key: bytes) -> int:
        """Return the number of values of a key, including expired ones not yet removed."""
        return self._recency.count(key)

    def owners(self, key: bytes, owner_id: bytes | None = None) -> list[Contact]:
        """Return the owners of the values of a key, least recent first; see ``Store.owners``."""
        if owner_id is not None:
            packed_owners = self._recency.owners(key, owner_id)
        else:
            packed_owners = [unpack_recency(row)[2] for row in self._recency.rows(key)][::-1]
        return [Contact.from_compact(packed) for packed in packed_owners]

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""
        return [
            (Contact.from_compact(row_key[ID_BYTES:]), self._to_entry(value_row))
            for row_key, value_row in reversed(self._rows.select(key).rows)
        ]

    def find(self, key: bytes, owner: Contact) -> StoreEntry | None:
        """Return an owner's value; None if there is none. It may have expired."""
        value_row = self._rows.get(key + owner.compact)
        return None if value_row is None else self._to_entry(value_row)

    def keys(self) -> Iterator[bytes]:
        """Yield the keys that have values; concurrent changes may or may not appear."""
        return self._recency.keys()

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""
        row_key = key + owner.compact
        value_row = self._rows.get(row_key)
        if value_row is None:
            return False
        self._delete_row(row_key, value_row)
        return True

    def expire(self, now: float) -> int:
        """Remove expired values, at most 5,000 of those on disk, and return their number.

        Other greenlets run in between.
        """
        self._store_clock.update(now)
        due = self._expiry.pop_due(self._to_disk_us(now), _EXPIRY_BATCH)
        return self._remove_expired(in_slices(due, self._clock))

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""
        earliest_us = self._expiry.earliest
        return None if earliest_us is None else self._to_clock_seconds(earliest_us)

    # Internals

    def _to_entry(self, value_row: ValueRow) -> StoreEntry:
        _, expires_at_us, received_at_us, from_owner, encoded, seq = value_row
        expires_at = self._to_clock_seconds(expires_at_us)
        received_at = self._to_clock_seconds(received_at_us)
        return StoreEntry(encoded, expires_at, from_owner, received_at, seq)

    def _remove_expired(self, due: Iterator[tuple[int, bytes]]) -> int:
        """Remove expired values, given their rows of the index; return their number."""
        expired_count = 0
        is_damaged = False
        for expires_at_us, row_key in due:
            data = self._write_buffer.get("values", row_key)
            value_row = unpack_value_row(row_key, data) if data is not None else None
            if value_row is not None and value_row.expires_at_us == expires_at_us:
                self._delete_row(row_key, value_row)
                expired_count += 1
            else:
                is_damaged = True
        if is_damaged:
            self._totals.repair()
        return expired_count

    def _delete_row(self, row_key: bytes, value_row: ValueRow) -> None:
        is_indexed = self._recency.remove(row_key, value_row)
        self._expiry.remove(value_row.expires_at_us, row_key)
        self._write_buffer.put("values", row_key, None)
        self._totals.adjust(quota_key_of_row(row_key), -1, -len(value_row.encoded))
        if not is_indexed:
            self._totals.repair()
