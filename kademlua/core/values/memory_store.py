"""MemoryStore: values in memory by key and owner, with quotas and expiry."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from itertools import islice

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.params import Params
from kademlua.core.values.quotas import (
    ENTRY_UNIT,
    StoreUsage,
    check_quotas,
    entries_of,
    is_limited_by_key,
    quota_key,
    subnet_key,
    usage_of,
    value_bytes_of,
)
from kademlua.core.values.store import (
    NO_LIMIT,
    StoreEntry,
    ValuePage,
    check_tombstone,
    is_cheap_replacement,
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

    Quotas limit entries and bytes, in total and per key, value and sender's address; see
    ``Store.put`` for a full store.
    """

    is_durable = False
    damage: str | None = None

    def __init__(self, params: Params) -> None:
        self.tombstones = Tombstones()
        self._params = params
        self._by_key: dict[bytes, dict[Contact, StoreEntry]] = {}
        self._usage = StoreUsage()
        self._usage_by_address: dict[bytes, int] = {}
        """What each address is charged, in ``ENTRY_UNIT`` and bytes."""
        # Key and owner of the values of each subnet, packed. Dropped values leave their rows
        # behind, as in `_expiry_heap`.
        self._yielding_heaps: dict[bytes, list[bytes]] = {}
        self._yielding_row_count = 0
        self.evicted_count = 0
        # (expires, tie-breaker, key, owner). Replaced and dropped values leave their rows
        # behind; `_compact` bounds them.
        self._expiry_heap: list[tuple[float, int, bytes, Contact]] = []
        self._row_count = 0

    def __len__(self) -> int:
        return entries_of(self._usage.total)

    @property
    def stored_bytes(self) -> int:
        """The bytes of all values, bencoded."""
        return value_bytes_of(self._usage.total)

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
        encoded, expires_at, _, now, seq, _ = entry
        if self._expiry_heap and self._expiry_heap[0][0] <= now:
            self._remove_expired(now, _EXPIRY_BATCH_ON_PUT)
            self.remove_if_expired(key, owner, now)  # it may be in a later batch
            check_tombstone(self.tombstones, key, owner, entry)  # a newer value may have expired
        owners = self._by_key.get(key, {})
        previous = owners.get(owner) if owners else None  # avoids hashing the contact
        if previous is not None:
            if not is_replacement(previous, entry):
                owners[owner] = previous._replace(received_at=now)
                return
            if not seq and previous.seq:
                entry = entry._replace(seq=previous.seq)
        drops_others = overwrite and self._params.overwrite_drops_others
        if previous is not None and not drops_others and is_cheap_replacement(previous, entry):
            del owners[owner]  # the most recent one is last
            if change := len(encoded) - len(previous.encoded):
                address = quota_key(entry.sender or owner)
                self._charge(address, subnet_key(address), change)
        else:
            replaced = {} if previous is None else {owner: previous}
            self._make_room(key, owner, entry, owners if drops_others else replaced)
            owners = self._by_key.setdefault(key, {})
        owners[owner] = entry
        self._row_count += 1
        heapq.heappush(self._expiry_heap, (expires_at, self._row_count, key, owner))
        row_limit = 2 * (self._usage.total // ENTRY_UNIT) + 64
        if len(self._expiry_heap) > row_limit or self._yielding_row_count > row_limit:
            self._compact()

    def _make_room(
        self, key: bytes, owner: Contact, entry: StoreEntry, replaced: dict[Contact, StoreEntry]
    ) -> None:
        """Remove what a new value replaces and what yields to it, and charge for it.

        Raises:
            StoreRefused: a quota is reached.
        """
        sender, size = entry.sender or owner, len(entry.encoded)
        address = quota_key(sender)
        is_full = self._check_quotas(key, sender, address, size, replaced)
        if replaced:
            for each in list(replaced):
                self._drop(key, each)
        if is_full:
            self._evict(usage_of(size))
        subnet = subnet_key(address)
        self._charge(address, subnet, usage_of(size))
        self._add_yielding_row(subnet, key, owner)

    def _check_quotas(
        self,
        key: bytes,
        sender: Contact,
        address: bytes,
        size: int,
        replaced: dict[Contact, StoreEntry],
    ) -> bool:
        """Return whether a subnet has to yield to a new value; see ``check_quotas``."""
        params, owners = self._params, self._by_key.get(key, {})
        total, address_usage = self._usage.total, self._usage_by_address.get(address, 0)
        gone = []
        for each, entry in replaced.items():
            usage = usage_of(len(entry.encoded))
            former_address = quota_key(entry.sender or each)
            gone.append((subnet_key(former_address), usage))
            total -= usage
            address_usage -= usage if former_address == address else 0
        key_entries, subnet_entries = len(owners) - len(replaced), 0
        if key_entries >= params.subnet_limit_key and is_limited_by_key(params, sender):
            subnet, compact_bytes = subnet_key(address), len(sender.compact)
            packed = [(entry.sender or each).compact for each, entry in owners.items()]
            subnet_entries = sum(
                each.startswith(subnet, ID_BYTES) and len(each) == compact_bytes for each in packed
            ) - sum(each == subnet for each, _ in gone)
        is_full = check_quotas(params, size, total, address_usage, key_entries, subnet_entries)
        if is_full:
            self._usage.check_fair_share(params, subnet_key(address), usage_of(size), gone)
        return is_full

    def _evict(self, usage: int) -> None:
        """Remove values of the subnets that yield to a new one with this usage."""
        while subnet := self._usage.yielding_subnet(self._params, usage):
            heap = self._yielding_heaps[subnet]
            row = heapq.heappop(heap)
            self._yielding_row_count -= 1
            key, owner = row[:ID_BYTES], Contact.from_compact(row[ID_BYTES:])
            entry = self._by_key.get(key, {}).get(owner)
            if entry is not None and (entry.sender or owner).diversity_prefix == subnet:
                self._drop(key, owner)
                self.evicted_count += 1

    def get(self, key: bytes, limit: int, now: float) -> list[bytes]:
        """Return up to ``limit`` bencoded values of a key, most recent first."""
        return self.page(key, limit, now).values if key in self._by_key else []

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
        return self._expiry_heap[0][0] if self._expiry_heap else None

    def _add_yielding_row(self, subnet: bytes, key: bytes, owner: Contact) -> None:
        heap = self._yielding_heaps.get(subnet)
        if heap is None:
            heap = self._yielding_heaps[subnet] = []
        heapq.heappush(heap, key + owner.compact)
        self._yielding_row_count += 1

    def _charge(self, address: bytes, subnet: bytes, change: int) -> None:
        """Add to what an address and its subnet are charged, or subtract from it."""
        self._usage.add(subnet, change)
        usage = self._usage_by_address.get(address, 0) + change
        if usage:
            self._usage_by_address[address] = usage
        else:
            del self._usage_by_address[address]

    def _drop(self, key: bytes, owner: Contact) -> None:
        owners = self._by_key[key]
        entry = owners.pop(owner)
        address = quota_key(entry.sender or owner)
        self._charge(address, subnet_key(address), -usage_of(len(entry.encoded)))
        if not owners:
            del self._by_key[key]

    def _compact(self) -> None:
        """Rebuild the heaps when most of their rows are obsolete."""
        self._expiry_heap = []
        self._yielding_heaps = {}
        self._row_count = self._yielding_row_count = 0
        for key, owners in self._by_key.items():
            for owner, entry in owners.items():
                self._row_count += 1
                self._expiry_heap.append((entry.expires_at, self._row_count, key, owner))
                self._add_yielding_row((entry.sender or owner).diversity_prefix, key, owner)
        heapq.heapify(self._expiry_heap)
