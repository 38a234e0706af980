"""LmdbStore: the value store on disk.

Times on disk are those of ``DiskClock``, so that remaining lifetimes survive the process. The
databases: ``values`` by key and owner; ``ends``, the same rows by expiry; ``subnets``, the same by
sender's subnet; ``addresses``, usage by sender's address; ``tombstones``, by key and owner;
``meta``, the total counts and a sample of the clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.quotas import quota_key, usage_of
from kademlua.core.values.store import (
    StoreEntry,
    check_tombstone,
    is_cheap_replacement,
    is_replacement,
    mark_expired,
)
from kademlua.runtime.clocks import Clocks
from kademlua.storage.disk_quotas import DiskQuotas
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_errors import FILE_DAMAGED
from kademlua.storage.lmdb_tombstones import LmdbTombstones
from kademlua.storage.node_id import read_node_id, write_node_id
from kademlua.storage.page_damage import PageDamage
from kademlua.storage.row_format import (
    FORMAT_VERSION,
    ValueRow,
    charged_address,
    pack_value_row,
    unpack_value_row,
)
from kademlua.storage.store_clock import StoreClock
from kademlua.storage.subnet_index import SubnetIndex
from kademlua.storage.totals import StoreTotals

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
        db_names = ("values", "ends", "addresses", "subnets", "tombstones", "meta")
        environment = LmdbEnvironment(path, "values", FORMAT_VERSION, db_names)
        self._environment = environment
        self._write_buffer = buffer = WriteBuffer(
            environment,
            prefix_db="values",
            prefix_bytes=ID_BYTES,
            in_background=in_background,
            before_commit=self._persist_counts,
            after_commit=self._on_commit,
        )
        self._params = params
        self.evicted_count = 0
        clocks = clocks or Clocks()
        self._clock = clocks.clock
        self._damage = PageDamage(environment)
        with environment.first_reads():
            self._expiry = expiry = ExpiryIndex(environment, buffer)
            self._totals = StoreTotals(environment, buffer, expiry)
            self._subnets = SubnetIndex(environment, buffer)
            self._quotas = DiskQuotas(params, buffer, self._totals, self._subnets)
            self._store_clock = StoreClock(clocks, environment, buffer, expiry, self._totals)
            self._to_disk_us = self._store_clock.to_disk_us
            self._to_clock_seconds = self._store_clock.to_clock_seconds
            tombstones = LmdbTombstones(buffer, self._to_disk_us)
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
        with self._damage:
            self._store_clock.update(self._clock())
        self._write_buffer.close()

    def _persist_counts(self) -> None:
        self._totals.persist(self._store_clock.save())

    def _on_commit(self, failure: str | None) -> None:
        self._totals.on_commit(failed=failure is not None)
        if failure == FILE_DAMAGED:
            self._damage.record(failure)
        with self._damage:
            self._expiry.refresh()

    @property
    def damage(self) -> str | None:
        """What is wrong with the file if pages proved damaged after it was opened."""
        return self._damage.reason

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
        self, key: bytes, owner: Contact, entry: StoreEntry, *, overwrite: bool = False
    ) -> None:
        """Store a value; see ``Store.put``. It is kept once ``when_durable`` has called back."""
        with self._damage:
            self._put(key, owner, entry, overwrite=overwrite)
            return
        raise StoreRefused(FILE_DAMAGED)

    def _put(self, key: bytes, owner: Contact, entry: StoreEntry, *, overwrite: bool) -> None:
        encoded, expires_at, from_owner, now, seq, sender = entry
        now_us, expires_at_us = self._to_disk_us(now), self._to_disk_us(expires_at)
        if self._expiry.is_due(now_us):
            self._expire_batch(now_us, _EXPIRY_BATCH_ON_PUT)
            check_tombstone(self.tombstones, key, owner, entry)  # a newer value may have expired
        row_key = key + owner.compact
        previous = self._value_row(row_key)
        drops_others = overwrite and self._params.overwrite_drops_others
        is_cheap = False
        if previous is not None:
            previous_entry = self._to_entry(previous)
            if not is_replacement(previous_entry, entry):
                refreshed = previous._replace(received_at_us=now_us)
                self._write_buffer.put("values", row_key, pack_value_row(row_key, refreshed))
                return
            seq = seq or previous.seq
            is_cheap = not drops_others and is_cheap_replacement(previous_entry, entry)
        if previous is not None and is_cheap:
            self._expiry.remove(previous.expires_at_us, row_key)
            if change := len(encoded) - len(previous.encoded):
                self._totals.adjust(charged_address(row_key, previous), change)
        else:
            replaced = {} if previous is None else {row_key: previous}
            if drops_others:
                replaced = dict(self._value_rows(key))
            self._make_room(key, owner, entry, replaced)
        self._totals.sequence += 1
        origin = (from_owner, encoded, seq, sender.compact if sender else b"")
        value_row = ValueRow(self._totals.sequence, expires_at_us, now_us, *origin)
        self._write_buffer.put("values", row_key, pack_value_row(row_key, value_row))
        self._expiry.add(expires_at_us, row_key)

    def _make_room(
        self, key: bytes, owner: Contact, entry: StoreEntry, replaced: dict[bytes, ValueRow]
    ) -> None:
        """Remove what a new value replaces and what yields to it, and charge for it.

        Raises:
            StoreRefused: a quota is reached.
        """
        sender, size = entry.sender or owner, len(entry.encoded)
        is_full = self._quotas.check(key, sender, size, replaced)
        for row_key, value_row in replaced.items():
            self._delete_row(row_key, value_row)
        while is_full and (yielding_key := self._quotas.yielding_row(usage_of(size))):
            yielding = self._value_row(yielding_key)
            if yielding is None:
                self._totals.repair()
            else:
                self._delete_row(yielding_key, yielding)
                self.evicted_count += 1
        self._subnets.add(quota_key(sender), key + owner.compact)
        self._totals.adjust(quota_key(sender), usage_of(size))

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        if limit <= 0:
            return []
        now_us = self._to_disk_us(now)
        with self._damage:
            live_rows = [row for _, row in self._value_rows(key) if row.expires_at_us > now_us]
            if len(live_rows) > 1:
                live_rows.sort(reverse=True)
            return [record.encoded for record in live_rows[:limit]]
        return []

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""
        with self._damage:
            return [
                (Contact.from_compact(row[ID_BYTES:]), self._to_entry(record))
                for row, record in sorted(self._value_rows(key), key=lambda each: each[1].sequence)
            ]
        return []

    def find(self, key: bytes, owner: Contact) -> StoreEntry | None:
        """Return an owner's value; None if there is none. It may have expired."""
        row_key = key + owner.compact
        with self._damage:
            value_row = unpack_value_row(row_key, self._write_buffer.get("values", row_key) or b"")
            return None if value_row is None else self._to_entry(value_row)
        return None

    def keys(self) -> Iterator[bytes]:
        """Yield the keys that have values; concurrent changes may or may not appear."""
        with self._damage:
            yield from self._write_buffer.prefixes()

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""
        row_key = key + owner.compact
        with self._damage:
            value_row = self._value_row(row_key)
            if value_row is not None:
                self._delete_row(row_key, value_row)
                return True
        return False

    def expire(self, now: float) -> int:
        """Remove expired values, at most 5,000 of those on disk, and return their number."""
        with self._damage:
            self._store_clock.update(now)
            return self._expire_batch(self._to_disk_us(now), _EXPIRY_BATCH)
        return 0

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""
        earliest_us = None if self.damage else self._expiry.earliest
        return None if earliest_us is None else self._to_clock_seconds(earliest_us)

    # Internals

    def _to_entry(self, value_row: ValueRow) -> StoreEntry:
        _, expires_at_us, received_at_us, from_owner, encoded, seq, compact = value_row
        expires_at = self._to_clock_seconds(expires_at_us)
        received_at = self._to_clock_seconds(received_at_us)
        sender = Contact.from_compact(compact) if compact else None
        return StoreEntry(encoded, expires_at, from_owner, received_at, seq, sender)

    def _value_row(self, row_key: bytes) -> ValueRow | None:
        """Return a row; None if there is none or it is damaged."""
        data = self._write_buffer.get("values", row_key)
        if data is None:
            return None
        value_row = unpack_value_row(row_key, data)
        if value_row is None:
            self._totals.repair()
        return value_row

    def _value_rows(self, key: bytes) -> list[tuple[bytes, ValueRow]]:
        """Return the rows of a key; damage that is found is repaired."""
        found = []
        is_damaged = False
        earliest_us = self._expiry.earliest or 0
        for row_key, data in self._write_buffer.rows_with_prefix(key).items():
            value_row = unpack_value_row(row_key, data)
            if value_row is not None:
                found.append((row_key, value_row))
            if value_row is None or value_row.expires_at_us < earliest_us:  # not in the index
                is_damaged = True
        if is_damaged:
            self._totals.repair()
        return found

    def _expire_batch(self, now_us: int, max_rows: int) -> int:
        """Remove expired values, at most ``max_rows`` of those on disk; return their number."""
        expired_count = 0
        is_damaged = False
        for expires_at_us, row_key in self._expiry.pop_due(now_us, max_rows):
            data = self._write_buffer.get("values", row_key)
            value_row = unpack_value_row(row_key, data) if data is not None else None
            if value_row is not None and value_row.expires_at_us == expires_at_us:
                self._delete_row(row_key, value_row)
                key, owner = row_key[:ID_BYTES], Contact.from_compact(row_key[ID_BYTES:])
                entry = self._to_entry(value_row)
                mark_expired(self.tombstones, key, owner, entry, self._params.max_ttl)
                expired_count += 1
            else:
                is_damaged = True
        if is_damaged:
            self._totals.repair()
        return expired_count

    def _delete_row(self, row_key: bytes, value_row: ValueRow) -> None:
        self._expiry.remove(value_row.expires_at_us, row_key)
        self._write_buffer.put("values", row_key, None)
        address = charged_address(row_key, value_row)
        self._subnets.remove(address, row_key)
        self._totals.adjust(address, -usage_of(len(value_row.encoded)))
