"""Tombstones: marks of removed values, kept until the values would have expired.

Another holder may still transfer a copy; the tombstone rejects it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.values.quotas import quota_key

_MAX_TOMBSTONES = 65_536
_ADDRESS_SHARE = 4
"""One address may have this fraction (1/n) of all tombstones, so that it cannot evict the
others."""

_EXPIRY_BATCH = 1_000


class Tombstone(NamedTuple):
    """The mark of a removed value."""

    expires_at: float
    seq: int = 0
    """The sequence number of the removal; 0 if its owner gave none."""

    def covers(self, seq: int) -> bool:
        """Return whether a value with this sequence number is older than the removal."""
        return not seq or not self.seq or seq <= self.seq


PersistTombstone = Callable[[bytes, Contact, "Tombstone | None"], None]
"""Saves a tombstone, or deletes a saved one."""


class Tombstones:
    """The tombstones of a node by key and owner; limited in number, oldest evicted."""

    __slots__ = ("_by_value", "_count_by_address", "_limit", "persist")

    def __init__(self, limit: int = _MAX_TOMBSTONES) -> None:
        self._limit = limit
        self.persist: PersistTombstone | None = None
        """Called with each change; None in memory."""
        self._count_by_address: Counter[bytes] = Counter()
        """The number of tombstones by owner's address."""
        self._by_value: dict[tuple[bytes, Contact], Tombstone] = {}

    def __len__(self) -> int:
        return len(self._by_value)

    def put(self, key: bytes, owner: Contact, tombstone: Tombstone) -> None:
        """Reject an owner's older values.

        Ignored if the owner's address has too many tombstones.
        """
        self.remove(key, owner)
        address = quota_key(owner)
        if self._count_by_address[address] >= self._limit // _ADDRESS_SHARE:
            return
        if len(self._by_value) >= self._limit:
            self.remove(*next(iter(self._by_value)))
        self._by_value[key, owner] = tombstone
        self._count_by_address[address] += 1
        if self.persist is not None:
            self.persist(key, owner, tombstone)

    def get(self, key: bytes, owner: Contact, now: float) -> Tombstone | None:
        """Return the tombstone of an owner's value; None if there is none."""
        if not self._by_value:  # the usual case, which avoids hashing the contact
            return None
        found = self._by_value.get((key, owner))
        return None if found is None or found.expires_at <= now else found

    def remove(self, key: bytes, owner: Contact) -> None:
        """Remove a tombstone: the owner stored the value again."""
        if self._by_value.pop((key, owner), None) is not None:
            self._uncount_address(owner)
            if self.persist is not None:
                self.persist(key, owner, None)

    def expire(self, now: float) -> None:
        """Remove expired tombstones, 1,000 at most."""
        expired = [row for row, each in self._by_value.items() if each.expires_at <= now]
        for key, owner in expired[:_EXPIRY_BATCH]:
            self.remove(key, owner)

    def _uncount_address(self, owner: Contact) -> None:
        address = quota_key(owner)
        self._count_by_address[address] -= 1
        if not self._count_by_address[address]:
            del self._count_by_address[address]
