"""MemoryStore: values in memory by key and owner, with quotas and expiry."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import islice

from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.values.quotas import ENTRY_UNIT, QuotaUsage, check_quotas, quota_key
from kademlua.core.values.store import (
    NO_LIMIT,
    StoreEntry,
    ValuePage,
    check_tombstone,
    is_replacement,
    mark_expired,
)
from kademlua.core.values.tombstones import Tombstones

_EXPIRY_BATCH = 1_000
"""Values removed in one call of ``expire``, at most."""
_EXPIRY_BATCH_ON_PUT = 100
"""Values removed during a store, at most."""


class MemoryStore:
    """One value per owner and key, of any bencoded form.

    Quotas limit entries and bytes, in total and per key, value and owner's address. A store over a
    quota is refused; nothing is evicted.
    """

    is_durable = False
    damage: str | None = None

    def __init__(self, params: Params) -> None:
        self.tombstones = Tombstones()
        self._params = params
        self._by_key: dict[bytes, dict[Contact, StoreEntry]] = {}
        self._entry_count = 0
        self._stored_bytes = 0
        self._usage_by_address: dict[bytes, int] = {}
        """Entries and bytes by owner's address."""
        # (expires, tie-breaker, key, owner). Replaced and dropped values leave their rows
        # behind; `_compact` bounds them.
        self._expiry_heap: list[tuple[float, int, bytes, Contact]] = []
        self._row_count = 0

    def __len__(self) -> int:
        return self._entry_count

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""
        return self._stored_bytes

    def keys(self) -> Iterator[bytes]:
        """Return the keys that have values now."""
        return iter(list(self._by_key))

    def entries(self, key: bytes) -> list[tuple[Contact, StoreEntry]]:
        """Return all values of a key with their owners, including expired ones not yet removed."""
        return list(self._by_key.get(key, {}).items())

    def count(self, key: bytes) -> int:
        """Return the number of values of a key, including expired ones not yet removed."""
        return len(self._by_key.get(key, ()))

    def owners(self, key: bytes, owner_id: bytes | None = None) -> list[Contact]:
        """Return the owners of the values of a key, least recent first; see ``Store.owners``."""
        owners = self._by_key.get(key, {})
        return [owner for owner in owners if owner_id is None or owner.id == owner_id]

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
        encoded, expires_at, _, now, seq = entry
        if self._expiry_heap and self._expiry_heap[0][0] <= now:
            self._remove_expired(now, _EXPIRY_BATCH_ON_PUT)
            self._remove_if_expired(key, owner, now)  # it may be in a later batch
            check_tombstone(self.tombstones, key, owner, entry)  # a newer value may have expired
        owners = self._by_key.get(key, {})
        previous = owners.get(owner) if owners else None  # avoids hashing the contact
        if previous is not None:
            if not is_replacement(previous, entry):
                owners[owner] = previous._replace(received_at=now)
                return
            if not seq and previous.seq:
                entry = entry._replace(seq=previous.seq)
        replaced = {} if previous is None else {owner: previous}
        if overwrite and self._params.overwrite_drops_others:
            replaced = owners
        address = quota_key(owner)
        self._check_quotas(encoded, owners, replaced, address)
        for each in list(replaced):
            self._drop(key, each)
        self._by_key.setdefault(key, {})[owner] = entry
        self._entry_count += 1
        self._stored_bytes += len(encoded)
        self._usage_by_address[address] = (
            self._usage_by_address.get(address, 0) + len(encoded) + ENTRY_UNIT
        )
        self._row_count += 1
        heapq.heappush(self._expiry_heap, (expires_at, self._row_count, key, owner))
        if len(self._expiry_heap) > 2 * self._entry_count + 64:
            self._compact()

    def _check_quotas(
        self,
        encoded: bytes,
        owners: dict[Contact, StoreEntry],
        replaced: dict[Contact, StoreEntry],
        address: bytes,
    ) -> None:
        entries, key_entries, stored_bytes = self._entry_count, len(owners), self._stored_bytes
        address_usage = self._usage_by_address.get(address, 0)
        if replaced:
            entries -= len(replaced)
            key_entries -= len(replaced)
            for each, entry in replaced.items():
                stored_bytes -= len(entry.encoded)
                if quota_key(each) == address:
                    address_usage -= len(entry.encoded) + ENTRY_UNIT
        usage = QuotaUsage(entries, key_entries, stored_bytes, address_usage)
        check_quotas(self._params, len(encoded), usage)

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        return self.page(key, limit, now).values

    def page(
        self, key: bytes, limit: int, now: float, *, offset: int = 0, max_bytes: int = NO_LIMIT
    ) -> ValuePage:
        """Return some values of a key; see ``Store.page``."""
        found: list[bytes] = []
        owners = self._by_key.get(key)
        if owners is None or limit <= 0 or offset >= len(owners):
            return ValuePage(found, 0)
        entries: Iterator[StoreEntry] = reversed(owners.values())
        if self._expiry_heap and self._expiry_heap[0][0] <= now:  # otherwise none has expired
            entries = (entry for entry in entries if entry.expires_at > now)
        for entry in islice(entries, offset, None) if offset else entries:
            max_bytes -= len(entry.encoded)
            if max_bytes < 0 and found:
                break
            found.append(entry.encoded)
            if max_bytes <= 0 or len(found) == limit:
                break
        else:
            return ValuePage(found, 0)
        return ValuePage(found, min(limit, len(owners) - offset) - len(found))

    def expire(self, now: float) -> int:
        """Remove expired values, about 1,000 at most, and return their number."""
        return self._remove_expired(now, _EXPIRY_BATCH)

    def _remove_expired(self, now: float, max_count: int) -> int:
        heap, expired_count = self._expiry_heap, 0
        while heap and heap[0][0] <= now and expired_count < max_count:
            expires_at, _, key, owner = heapq.heappop(heap)
            entry = self._by_key.get(key, {}).get(owner)
            if entry is not None and entry.expires_at == expires_at:
                self._drop_expired(key, owner, entry)
                expired_count += 1
        return expired_count

    def _remove_if_expired(self, key: bytes, owner: Contact, now: float) -> None:
        entry = self.find(key, owner)
        if entry is not None and entry.expires_at <= now:
            self._drop_expired(key, owner, entry)

    def _drop_expired(self, key: bytes, owner: Contact, entry: StoreEntry) -> None:
        self._drop(key, owner)
        mark_expired(self.tombstones, key, owner, entry, self._params.max_ttl)

    def next_expiry(self) -> float | None:
        """Return the earliest time at which ``expire`` may find something; None without values."""
        return self._expiry_heap[0][0] if self._expiry_heap else None

    def _drop(self, key: bytes, owner: Contact) -> None:
        owners = self._by_key[key]
        size = len(owners.pop(owner).encoded)
        self._stored_bytes -= size
        self._entry_count -= 1
        address = quota_key(owner)
        self._usage_by_address[address] -= size + ENTRY_UNIT
        if not self._usage_by_address[address]:
            del self._usage_by_address[address]
        if not owners:
            del self._by_key[key]

    def _compact(self) -> None:
        """Rebuild the heap when most of its rows are obsolete."""
        rows = [
            (entry.expires_at, number, key, owner)
            for number, (key, owner, entry) in enumerate(
                (key, owner, entry)
                for key, owners in self._by_key.items()
                for owner, entry in owners.items()
            )
        ]
        heapq.heapify(rows)
        self._expiry_heap = rows
        self._row_count = len(rows)
