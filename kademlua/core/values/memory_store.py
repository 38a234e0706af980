"""MemoryStore: values in memory by key and owner, with quotas and expiry."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.memory_usage import MemoryUsage
from kademlua.core.values.quotas import check_quotas, entries_of, quota_key, value_bytes_of
from kademlua.core.values.store import (
    NO_LIMIT,
    StoreEntry,
    ValuePage,
    check_tombstone,
    is_cheap_replacement,
    is_replacement,
    mark_expired,
)
from kademlua.core.values.swept_heap import SweptHeap
from kademlua.core.values.tombstones import Tombstones

_EXPIRY_BATCH: Final = 250
"""Values removed in one call of ``expire``, at most."""
_EXPIRY_BATCH_ON_PUT: Final = 100
"""Values removed during a store, at most."""

ExpiryRow = tuple[float, bytes, Contact]
"""The expiry of a value, its key and packed owner, and its owner."""


class MemoryStore:
    """One value per owner and key, of any bencoded form.

    Quotas limit entries and bytes, in total and per key, value and sender's address; see
    ``Store.put`` for a full store.
    """

    is_durable = False
    damage: str | None = None

    def __init__(self, params: Params) -> None:
        self.tombstones = Tombstones()
        self._params = params
        self._by_key: dict[bytes, dict[Contact, StoreEntry]] = {}
        self._usage = MemoryUsage(params)
        self.evicted_count = 0
        self._expiry_rows: SweptHeap[ExpiryRow] = SweptHeap(self._is_current, self.__len__)
        self._earliest_expiry = math.inf
        """No value expires before."""

    def __len__(self) -> int:
        return entries_of(self._usage.in_total.total)

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""
        return value_bytes_of(self._usage.in_total.total)

    def keys(self) -> Iterator[bytes]:
        """Return the keys that have values now."""
        return iter(list(self._by_key))

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""
        return list(self._by_key.get(key, {}).items())

    def count(self, key: bytes) -> int:
        """Return the number of values of a key, including expired ones not yet removed."""
        return len(self._by_key.get(key, ()))

    def owners(self, key: bytes, *, newest_first: bool = False) -> Iterator[Contact]:
        """Yield the owners of the values of a key; see ``Store.owners``."""
        owners = list(self._by_key.get(key, {}))
        return reversed(owners) if newest_first else iter(owners)

    def owners_with_id(self, key: bytes, owner_id: bytes) -> list[Contact]:
        """Return the owners of the values of a key that have this id."""
        return [owner for owner in self._by_key.get(key, {}) if owner.id == owner_id]

    def find(self, key: bytes, owner: Contact) -> StoreEntry | None:
        """Return an owner's value; None if there is none. It may have expired."""
        return self._by_key.get(key, {}).get(owner)

    def remove(self, key: bytes, owner: Contact) -> bool:
        """Remove an owner's value, and return whether there was one."""
        if owner not in self._by_key.get(key, {}):
            return False
        self._drop(key, owner)
        return True

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        """Call back immediately: nothing here survives the process."""
        callback(None)

    def put(
        self,
        key: bytes,
        owner: Contact,
        entry: StoreEntry,
        *,
        overwrite: bool = False,
    ) -> None:
        """Store a value; see ``Store.put``."""
        now = entry.received_at
        if self._earliest_expiry <= now:
            self._remove_expired(now, _EXPIRY_BATCH_ON_PUT)
            self.remove_if_expired(key, owner, now)  # it may be in a later batch
            check_tombstone(self.tombstones, key, owner, entry)  # a newer value may have expired
        owners = self._by_key.get(key)
        previous = None if owners is None else owners.get(owner)
        row = key + owner.compact
        drops_others = overwrite and self._params.overwrite_drops_others
        if owners is None or previous is None:
            self._add(key, row, owner, entry, owners if drops_others else None)
        elif not is_replacement(previous, entry):
            owners[owner] = previous.replaced(received_at=now)
            return
        else:
            if not entry.seq and previous.seq:
                entry = entry.replaced(seq=previous.seq)
            if drops_others or not is_cheap_replacement(previous, entry):
                self._add(key, row, owner, entry, owners if drops_others else {owner: previous})
            else:
                self._replace(owners, owner, previous, entry)
            if entry.expires_at == previous.expires_at:  # it has its row
                return
        self._expiry_rows.push((entry.expires_at, row, owner))
        if entry.expires_at < self._earliest_expiry:
            self._earliest_expiry = entry.expires_at

    def _replace(
        self,
        owners: dict[Contact, StoreEntry],
        owner: Contact,
        previous: StoreEntry,
        entry: StoreEntry,
    ) -> None:
        """Replace a value by one that is charged to the same sender."""
        del owners[owner]  # the most recent one is last
        owners[owner] = entry
        if change := len(entry.encoded) - len(previous.encoded):
            self._usage.change(quota_key(entry.sender or owner), change)

    def _add(
        self,
        key: bytes,
        row: bytes,
        owner: Contact,
        entry: StoreEntry,
        replaced: dict[Contact, StoreEntry] | None,
    ) -> None:
        """Add a value, in place of others or of none, and charge for it.

        Raises:
            StoreRefused: a quota is reached.
        """
        sender, size, usage = entry.sender or owner, len(entry.encoded), self._usage
        address, owners = quota_key(sender), self._by_key.get(key)
        if owners is not None or check_quotas(
            self._params, size, usage.in_total.total, usage.by_address.get(address, 0), 0
        ):
            self._make_room(key, sender, size, replaced or {})
            owners = self._by_key.get(key)
        if owners is None:
            self._by_key[key] = {owner: entry}
        else:
            owners[owner] = entry
        usage.add(address, size, row)

    def _make_room(
        self, key: bytes, sender: Contact, size: int, replaced: dict[Contact, StoreEntry]
    ) -> None:
        """Remove what a new value replaces and what yields to it.

        Raises:
            StoreRefused: a quota is reached.
        """
        is_full = self._usage.check(sender, size, self._by_key.get(key, {}), replaced)
        for each in list(replaced):
            self._drop(key, each)
        while is_full and (row := self._usage.yielding_row(size)):
            self._drop(row[:ID_BYTES], Contact.from_compact(row[ID_BYTES:]))
            self.evicted_count += 1

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        found: list[bytes] = []
        owners = self._by_key.get(key)
        if owners is not None and limit > 0:
            for entry in reversed(owners.values()):
                if entry.expires_at > now:
                    found.append(entry.encoded)
                    if len(found) == limit:
                        break
        return found

    def page(
        self, key: bytes, limit: int, now: float, *, offset: int = 0, max_bytes: int = NO_LIMIT
    ) -> ValuePage:
        """Return some values of a key; see ``Store.page``."""
        owners = self._by_key.get(key)
        if owners is None or limit <= 0 or offset >= len(owners):
            return [], 0
        found: list[bytes] = []
        entries: Iterator[StoreEntry] = reversed(owners.values())
        if offset:
            if self._earliest_expiry <= now:  # otherwise none has expired
                entries = (entry for entry in entries if entry.expires_at > now)
            entries = islice(entries, offset, None)
        for entry in entries:
            encoded = entry.encoded
            if entry.expires_at <= now:
                continue
            max_bytes -= len(encoded)
            if max_bytes < 0 and found:
                break
            found.append(encoded)
            if max_bytes <= 0 or len(found) == limit:
                break
        else:
            return found, 0
        return found, min(limit, len(owners) - offset) - len(found)

    def expire(self, now: float) -> int:
        """Remove expired values, some hundreds at most, and return their number."""
        return self._remove_expired(now, _EXPIRY_BATCH)

    def _remove_expired(self, now: float, max_count: int) -> int:
        """Remove expired values, and go through twice as many rows at most; return their number."""
        rows, expired_count = self._expiry_rows, 0
        for _ in range(2 * max_count):
            first = rows.first
            if first is None or first[0] > now or expired_count == max_count:
                break
            rows.pop()
            if self._is_current(first):
                _, row, owner = first
                key = row[:ID_BYTES]
                self._drop_expired(key, owner, self._by_key[key][owner])
                expired_count += 1
        first = rows.first
        self._earliest_expiry = math.inf if first is None else first[0]
        return expired_count

    def _is_current(self, expiry_row: ExpiryRow) -> bool:
        """Return whether a value still expires at the time in a row."""
        expires_at, row, owner = expiry_row
        owners = self._by_key.get(row[:ID_BYTES])
        entry = None if owners is None else owners.get(owner)
        return entry is not None and entry.expires_at == expires_at

    def remove_if_expired(self, key: bytes, owner: Contact, now: float) -> None:
        """Remove an owner's value as ``expire`` does, if it has expired."""
        entry = self.find(key, owner)
        if entry is not None and entry.expires_at <= now:
            self._drop_expired(key, owner, entry)

    def _drop_expired(self, key: bytes, owner: Contact, entry: StoreEntry) -> None:
        self._drop(key, owner)
        mark_expired(self.tombstones, key, owner, entry, self._params.max_ttl)

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""
        return None if self._earliest_expiry == math.inf else self._earliest_expiry

    def _drop(self, key: bytes, owner: Contact) -> None:
        owners = self._by_key[key]
        entry = owners.pop(owner)
        if not owners:
            del self._by_key[key]
        address = quota_key(entry.sender or owner)
        self._usage.remove(address, len(entry.encoded), key + owner.compact)
