"""Tombstones: which values their owners removed, until they would have ended anyway.

Whoever still has a copy may hand it on; a tombstone says that it is not to come back.
"""

from __future__ import annotations

from collections import Counter

from kademlua.core.contact import Contact
from kademlua.core.values.store import address_of

_LIMIT = 65_536
_OF_ONE = 4
"""One address has this part of all at most: removes without end shall not undo those of others."""

Row = tuple[bytes, Contact]
"""A key, and the owner who removed its value."""


class Tombstones:
    """When the tombstone of a key and owner ends; bounded, the oldest goes first."""

    __slots__ = ("_addresses", "_limit", "ends")

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._addresses: Counter[bytes] = Counter()
        """How many there are of each owner's address."""
        self.ends: dict[Row, float] = {}
        """By key and owner; to look whether there are any."""

    def __len__(self) -> int:
        return len(self.ends)

    def put(self, key: bytes, owner: Contact, ends: float) -> None:
        """Let an owner's value not be handed on to us before a time; in vain where its address
        has too many tombstones."""
        self.lift(key, owner)
        address = address_of(owner)
        if self._addresses[address] >= self._limit // _OF_ONE:
            return
        if len(self.ends) >= self._limit:
            self.lift(*next(iter(self.ends)))
        self.ends[key, owner] = ends
        self._addresses[address] += 1

    def end(self, key: bytes, owner: Contact, now: float) -> float | None:
        """When the tombstone of this value ends; None where there is none any more."""
        ends = self.ends.get((key, owner))
        return None if ends is None or ends <= now else ends

    def lift(self, key: bytes, owner: Contact) -> None:
        """The owner stored the value anew."""
        if self.ends.pop((key, owner), None) is not None:
            self._forget(owner)

    def expire(self, now: float) -> None:
        """Forget those that have ended."""
        for key, owner in [row for row, ends in self.ends.items() if ends <= now]:
            self.lift(key, owner)

    def _forget(self, owner: Contact) -> None:
        address = address_of(owner)
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]
