"""Tombstones: which values their owners removed, until they would have ended anyway.

Whoever still has a copy may hand it on; a tombstone says that it is not to come back.
"""

from __future__ import annotations

from collections import Counter

from kademlua.core.contact import Contact
from kademlua.core.values.store import quota_key

_MAX_TOMBSTONES = 65_536
_ADDRESS_SHARE = 4
"""One address has this part of all at most: removes without end shall not undo those of others."""

TombstoneKey = tuple[bytes, Contact]
"""A key, and the owner who removed its value."""


class Tombstones:
    """When the tombstone of a key and owner ends; bounded, the oldest goes first."""

    __slots__ = ("_count_by_address", "_limit", "expirations")

    def __init__(self, limit: int = _MAX_TOMBSTONES) -> None:
        self._limit = limit
        self._count_by_address: Counter[bytes] = Counter()
        """How many there are of each owner's address."""
        self.expirations: dict[TombstoneKey, float] = {}
        """By key and owner; to look whether there are any."""

    def __len__(self) -> int:
        return len(self.expirations)

    def put(self, key: bytes, owner: Contact, expires_at: float) -> None:
        """Let an owner's value not be handed on to us before a time; in vain where its address
        has too many tombstones."""
        self.remove(key, owner)
        address = quota_key(owner)
        if self._count_by_address[address] >= self._limit // _ADDRESS_SHARE:
            return
        if len(self.expirations) >= self._limit:
            self.remove(*next(iter(self.expirations)))
        self.expirations[key, owner] = expires_at
        self._count_by_address[address] += 1

    def get_expiry(self, key: bytes, owner: Contact, now: float) -> float | None:
        """When the tombstone of this value ends; None where there is none any more."""
        expires_at = self.expirations.get((key, owner))
        return None if expires_at is None or expires_at <= now else expires_at

    def remove(self, key: bytes, owner: Contact) -> None:
        """The owner stored the value anew."""
        if self.expirations.pop((key, owner), None) is not None:
            self._uncount_address(owner)

    def expire(self, now: float) -> None:
        """Forget those that have ended."""
        for key, owner in [row for row, ends in self.expirations.items() if ends <= now]:
            self.remove(key, owner)

    def _uncount_address(self, owner: Contact) -> None:
        address = quota_key(owner)
        self._count_by_address[address] -= 1
        if not self._count_by_address[address]:
            del self._count_by_address[address]
