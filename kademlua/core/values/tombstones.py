"""Tombstones: marks of removed values, kept until the values would have expired.

Another holder may still transfer a copy; the tombstone rejects it.
"""

from __future__ import annotations

from collections import Counter

from kademlua.core.contact import Contact
from kademlua.core.values.store import quota_key

_MAX_TOMBSTONES = 65_536
_ADDRESS_SHARE = 4
"""One address may have this fraction (1/n) of all tombstones, so that it cannot evict the
others."""

TombstoneKey = tuple[bytes, Contact]
"""A key, and the owner that removed its value."""


class Tombstones:
    """The expiry times of tombstones by key and owner; limited in number, oldest evicted."""

    __slots__ = ("_count_by_address", "_limit", "expirations")

    def __init__(self, limit: int = _MAX_TOMBSTONES) -> None:
        self._limit = limit
        self._count_by_address: Counter[bytes] = Counter()
        """The number of tombstones by owner's address."""
        self.expirations: dict[TombstoneKey, float] = {}
        """Expiry times by key and owner."""

    def __len__(self) -> int:
        return len(self.expirations)

    def put(self, key: bytes, owner: Contact, expires_at: float) -> None:
        """Reject an owner's value from other holders until a time.

        Ignored if the owner's address has too many tombstones.
        """
        self.remove(key, owner)
        address = quota_key(owner)
        if self._count_by_address[address] >= self._limit // _ADDRESS_SHARE:
            return
        if len(self.expirations) >= self._limit:
            self.remove(*next(iter(self.expirations)))
        self.expirations[key, owner] = expires_at
        self._count_by_address[address] += 1

    def get_expiry(self, key: bytes, owner: Contact, now: float) -> float | None:
        """Return when the tombstone of a value expires; None if there is none."""
        expires_at = self.expirations.get((key, owner))
        return None if expires_at is None or expires_at <= now else expires_at

    def remove(self, key: bytes, owner: Contact) -> None:
        """Remove a tombstone: the owner stored the value again."""
        if self.expirations.pop((key, owner), None) is not None:
            self._uncount_address(owner)

    def expire(self, now: float) -> None:
        """Remove expired tombstones."""
        for key, owner in [row for row, ends in self.expirations.items() if ends <= now]:
            self.remove(key, owner)

    def _uncount_address(self, owner: Contact) -> None:
        address = quota_key(owner)
        self._count_by_address[address] -= 1
        if not self._count_by_address[address]:
            del self._count_by_address[address]
