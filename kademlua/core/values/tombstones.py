"""Tombstones: marks of removed and expired values, which reject the older values of their owners.

A holder that missed the removal, or the value that expired, may still transfer an older value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BYTES
from kademlua.core.values.quotas import quota_key

_MAX_TOMBSTONES: Final = 65_536
_ADDRESS_SHARE: Final = 4
"""One address may have this fraction (1/n) of all tombstones, so that it cannot evict the
others."""
RECORD_OWNER: Final = Contact("0.0.0.0", 1, bytes(ID_BYTES))
"""Stands for the owner in the tombstones of signed records, which any node may store."""

_EXPIRY_BATCH: Final = 1_000


class Tombstone(NamedTuple):
    """The mark of a removed or expired value."""

    expires_at: float
    seq: int = 0
    """The highest sequence number that is rejected; 0 if the owner gave none. Of a signed record,
    the lowest one that is not."""

    def covers(self, seq: int) -> bool:
        """Return whether a value with this sequence number is older than the removal."""
        return not seq or not self.seq or seq <= self.seq


PersistTombstone = Callable[[bytes, "Tombstone | None"], None]
"""Saves the tombstone of a key and compact owner, or deletes a saved one."""


class Tombstones:
    """The tombstones of a node by key and owner; limited in number, oldest evicted."""

    __slots__ = ("_by_row", "_limit", "_rows_by_address", "persist")

    def __init__(self, limit: int = _MAX_TOMBSTONES) -> None:
        self._limit = limit
        self.persist: PersistTombstone | None = None
        """Called with each change; None in memory."""
        self._by_row: dict[bytes, Tombstone] = {}
        """By key and compact owner, oldest first."""
        self._rows_by_address: dict[bytes, dict[bytes, None]] = {}
        """The same rows by owner's address, oldest first."""

    def __len__(self) -> int:
        return len(self._by_row)

    def put(self, key: bytes, owner: Contact, tombstone: Tombstone) -> None:
        """Reject an owner's older values.

        At its limit, the oldest tombstone of the owner's address is evicted, or of all.
        """
        row, address = key + owner.compact, quota_key(owner)
        self._remove_row(row)
        if len(self._rows_by_address.get(address, ())) >= self._limit // _ADDRESS_SHARE:
            self._remove_row(next(iter(self._rows_by_address[address])))
        if len(self._by_row) >= self._limit:
            self._remove_row(next(iter(self._by_row)))
        self._by_row[row] = tombstone
        self._rows_by_address.setdefault(address, {})[row] = None
        if self.persist is not None:
            self.persist(row, tombstone)

    def get(self, key: bytes, owner: Contact, now: float) -> Tombstone | None:
        """Return the tombstone of an owner's value; None if there is none."""
        if not self._by_row:
            return None
        found = self._by_row.get(key + owner.compact)
        return None if found is None or found.expires_at <= now else found

    def remove(self, key: bytes, owner: Contact) -> None:
        """Remove a tombstone: the owner stored the value again."""
        self._remove_row(key + owner.compact)

    def expire(self, now: float) -> None:
        """Remove expired tombstones, 1,000 at most."""
        expired = [row for row, each in self._by_row.items() if each.expires_at <= now]
        for row in expired[:_EXPIRY_BATCH]:
            self._remove_row(row)

    def _remove_row(self, row: bytes) -> None:
        if self._by_row.pop(row, None) is None:
            return
        address = row[2 * ID_BYTES : -2][:8]  # see quota_key
        del self._rows_by_address[address][row]
        if not self._rows_by_address[address]:
            del self._rows_by_address[address]
        if self.persist is not None:
            self.persist(row, None)
