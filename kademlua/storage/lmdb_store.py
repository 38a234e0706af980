"""LmdbStore: the value store on disk.

Times on disk are those of ``DiskClock``, so that remaining lifetimes survive the process. The
databases: ``values`` by key and owner; ``ends``, the same rows by expiry; ``recent``, the same by
key and recency; ``subnets``, the same by sender's subnet; ``addresses``, usage by sender's address;
``tombstones``, by key and owner; ``meta``, the total counts and a sample of the clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.errors import StoreRefused
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.store import (
    NO_LIMIT,
    StoreEntry,
    ValuePage,
    check_tombstone,
    is_cheap_replacement,
    is_replacement,
    mark_expired,
)
from kademlua.runtime.clocks import Clocks
from kademlua.runtime.time_slices import in_slices
from kademlua.storage.disk_quotas import DiskQuotas
from kademlua.storage.expiry import ExpiryIndex
from kademlua.storage.group_commit import WriteBuffer
from kademlua.storage.lmdb_environment import LmdbEnvironment
from kademlua.storage.lmdb_errors import FILE_DAMAGED
from kademlua.storage.lmdb_tombstones import LmdbTombstones
from kademlua.storage.node_id import read_node_id, write_node_id
from kademlua.storage.page_damage import PageDamage
from kademlua.storage.recency import RecencyIndex
from kademlua.storage.row_format import FORMAT_VERSION, ValueRow
from kademlua.storage.store_clock import StoreClock
from kademlua.storage.subnet_index import SubnetIndex
from kademlua.storage.totals import StoreTotals
from kademlua.storage.value_rows import Selection, ValueRows

_DATABASES = ("values", "ends", "recent", "subnets", "addresses", "tombstones", "meta")
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
        self._write_buffer = buffer = WriteBuffer(
            environment,
            index_db="recent",
            in_background=in_background,
            before_commit=self._persist_counts,
            after_commit=self._on_commit,
            clock=self._clock,
        )
        self._params = params
        self._damage = PageDamage(environment)
        self._recency = recency = RecencyIndex(environment, buffer)
        with environment.first_reads():
            self._expiry = expiry = ExpiryIndex(environment, buffer)
            self._totals = totals = StoreTotals(environment, buffer, expiry, recency)
            subnets = SubnetIndex(environment, buffer)
            self._rows = rows = ValueRows(buffer, expiry, recency, subnets, totals)
            self._quotas = DiskQuotas(params, rows, recency, subnets, totals)
            self._store_clock = StoreClock(clocks, environment, buffer, rows, totals)
            self._to_entry = self._store_clock.to_entry
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
        if failure == FILE_DAMAGED:
            self._damage.record(failure)
        with self._damage:
            self._totals.on_commit(failed=failure is not None)
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

    @property
    def evicted_count(self) -> int:
        """The number of values that yielded to those of other subnets; see ``put``."""
        return self._quotas.evicted_count

    def put(
        self, key: bytes, owner: Contact, entry: StoreEntry, *, overwrite: bool = False
    ) -> None:
        """Store a value; see ``Store.put``. It is kept once ``when_durable`` has called back."""
        with self._damage:
            self._put(key, owner, entry, overwrite=overwrite)
            return
        raise StoreRefused(FILE_DAMAGED)

    def _put(self, key: bytes, owner: Contact, entry: StoreEntry, *, overwrite: bool) -> None:
        now, row_key = entry.received_at, key + owner.compact
        now_us = self._to_disk_us(now)
        if self._expiry.is_due(now_us) and not self._store_clock.is_correcting:
            self._remove_due(self._expiry.pop_due(now_us, _EXPIRY_BATCH_ON_PUT))
            self.remove_if_expired(key, owner, now)  # it may be in a later batch
            check_tombstone(self.tombstones, key, owner, entry)  # a newer value may have expired
        previous = self._rows.get(row_key)
        drops_others = overwrite and self._params.overwrite_drops_others
        replaced = {}
        if previous is not None:
            previous_entry = self._to_entry(previous)
            if not is_replacement(previous_entry, entry):
                self._rows.refresh(row_key, previous._replace(received_at_us=now_us))
                return
            if not entry.seq:
                entry = entry.replaced(seq=previous.seq)
            if not drops_others and is_cheap_replacement(previous_entry, entry):
                self._rows.replace(row_key, previous, self._next_row(entry))
                return
            replaced = {row_key: previous}
        if drops_others:
            replaced = dict(self._rows.select(key).rows)
        self._quotas.make_room(key, entry.sender or owner, len(entry.encoded), replaced)
        self._rows.add(row_key, self._next_row(entry))

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        return self.page(key, limit, now)[0]

    def page(
        self, key: bytes, limit: int, now: float, *, offset: int = 0, max_bytes: int = NO_LIMIT
    ) -> ValuePage:
        """Return some values of a key; see ``Store.page``."""
        with self._damage:
            if limit <= 0 or (offset and offset >= self._recency.count(key)):
                return [], 0
            now_us = self._to_disk_us(now)
            expired_at_us = now_us if self._expiry.is_due(now_us) else -1
            selection = Selection(limit, offset, max_bytes, expired_at_us)
            rows, is_complete = self._rows.select(key, selection)
            values = [value_row.encoded for _, value_row in rows]
            if is_complete:
                return values, 0
            return values, min(limit, self._recency.count(key) - offset) - len(values)
        return [], 0

    def count(self, key: bytes) -> int:
        """Return the number of values of a key, including expired ones not yet removed."""
        with self._damage:
            return self._recency.count(key)
        return 0

    def owners(self, key: bytes, *, newest_first: bool = False) -> Iterator[Contact]:
        """Yield the owners of the values of a key; see ``Store.owners``."""
        with self._damage:
            owners = self._recency.owners(key, newest_first=newest_first)
            yield from map(Contact.from_compact, owners)

    def owners_with_id(self, key: bytes, owner_id: bytes) -> list[Contact]:
        """Return the owners of the values of a key that have this id."""
        with self._damage:
            return list(map(Contact.from_compact, self._recency.owners_with_id(key, owner_id)))
        return []

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""
        with self._damage:
            return [
                (Contact.from_compact(row_key[ID_BYTES:]), self._to_entry(value_row))
                for row_key, value_row in reversed(self._rows.select(key).rows)
            ]
        return []

    def find(self, key: bytes, owner: Contact) -> StoreEntry | None:
        """Return an owner's value; None if there is none. It may have expired."""
        with self._damage:
            value_row = self._rows.get(key + owner.compact)
            return None if value_row is None else self._to_entry(value_row)
        return None

    def keys(self) -> Iterator[bytes]:
        """Yield the keys that have values; concurrent changes may or may not appear."""
        with self._damage:
            yield from self._recency.keys()

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""
        row_key = key + owner.compact
        with self._damage:
            value_row = self._rows.get(row_key)
            if value_row is not None:
                self._rows.remove(row_key, value_row)
                return True
        return False

    def expire(self, now: float) -> int:
        """Remove expired values, at most 5,000 of those on disk, and return their number.

        Other greenlets run in between.
        """
        with self._damage:
            self._store_clock.update(now, lambda rows: in_slices(rows, self._clock))
            due = self._expiry.pop_due(self._to_disk_us(now), _EXPIRY_BATCH)
            return self._remove_due(in_slices(due, self._clock))
        return 0

    def remove_if_expired(self, key: bytes, owner: Contact, now: float) -> None:
        """Remove an owner's value as ``expire`` does, if it has expired."""
        row_key = key + owner.compact
        with self._damage:
            if self._store_clock.is_correcting:
                return
            value_row = self._rows.get(row_key)
            if value_row is not None and value_row.expires_at_us <= self._to_disk_us(now):
                self._remove_due([(value_row.expires_at_us, row_key)])

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""
        earliest_us = None if self.damage else self._expiry.earliest
        return None if earliest_us is None else self._to_clock_seconds(earliest_us)

    # Internals

    def _next_row(self, entry: StoreEntry) -> ValueRow:
        """Return the row of the most recent value."""
        self._totals.sequence += 1
        return self._store_clock.to_row(entry, self._totals.sequence)

    def _remove_due(self, due: Iterable[tuple[int, bytes]]) -> int:
        """Remove expired values, given their rows of the index; return their number."""
        expired_count = 0
        for row_key, value_row in self._rows.remove_due(due):
            key, owner = row_key[:ID_BYTES], Contact.from_compact(row_key[ID_BYTES:])
            entry = self._to_entry(value_row)
            mark_expired(self.tombstones, key, owner, entry, self._params.max_ttl)
            expired_count += 1
        return expired_count
