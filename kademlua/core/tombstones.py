"""Tombstones: which values their owners removed, until they would have ended anyway.

Whoever still has a copy may hand it on; a tombstone says that it is not to come back.
"""

from __future__ import annotations

from kademlua.core.contact import Contact

_LIMIT = 65_536


class Tombstones:
    """When the tombstone of a key and owner ends; bounded, the oldest goes first."""

    __slots__ = ("ends",)

    def __init__(self) -> None:
        self.ends: dict[tuple[bytes, Contact], float] = {}
        """By key and owner; to look whether there are any."""

    def __len__(self) -> int:
        return len(self.ends)

    def put(self, key: bytes, owner: Contact, ends: float) -> None:
        """Let an owner's value not be handed on to us before a time."""
        self.ends.pop((key, owner), None)
        if len(self.ends) >= _LIMIT:
            del self.ends[next(iter(self.ends))]
        self.ends[key, owner] = ends

    def end(self, key: bytes, owner: Contact, now: float) -> float | None:
        """When the tombstone of this value ends; None where there is none any more."""
        ends = self.ends.get((key, owner))
        return None if ends is None or ends <= now else ends

    def lift(self, key: bytes, owner: Contact) -> None:
        """The owner stored the value anew."""
        self.ends.pop((key, owner), None)

    def expire(self, now: float) -> None:
        """Forget those that have ended."""
        if self.ends:
            self.ends = {each: ends for each, ends in self.ends.items() if ends > now}
