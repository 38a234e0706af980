"""Conflicts: values that peers transferred as newer than the stored ones, still to be checked."""

from __future__ import annotations

from typing import Final, NamedTuple

from kademlua.core.contact import Contact
from kademlua.core.values.store import StoreEntry

_MAX_CONFLICTS: Final = 256
_REPEAT_AFTER: Final = 300.0
"""Seconds in which a value of one key and owner is not checked again."""


class Conflict(NamedTuple):
    """A transferred value that differs from the stored one of the same owner."""

    key: bytes
    owner: Contact
    transferred: StoreEntry


class ConflictQueue:
    """One conflict per key and owner, in the order of arrival; limited in number."""

    __slots__ = ("_added_at", "_pending")

    def __init__(self) -> None:
        self._pending: list[Conflict] = []
        self._added_at: dict[tuple[bytes, Contact], float] = {}
        """When each conflict of the last five minutes was added, oldest first."""

    @property
    def pending_count(self) -> int:
        """The number of conflicts to be checked."""
        return len(self._pending)

    def add(self, conflict: Conflict) -> None:
        """Add a conflict; ignored if there are too many, since transfers are repeated."""
        key_and_owner = conflict.key, conflict.owner
        if key_and_owner not in self._added_at and len(self._added_at) < _MAX_CONFLICTS:
            self._added_at[key_and_owner] = conflict.transferred.received_at
            self._pending.append(conflict)

    def pop(self) -> Conflict | None:
        """Remove and return the oldest conflict; None if there is none."""
        return self._pending.pop(0) if self._pending else None

    def expire(self, now: float) -> None:
        """Forget the conflicts of more than five minutes ago."""
        for key_and_owner, added_at in list(self._added_at.items()):
            if now - added_at < _REPEAT_AFTER:
                break
            del self._added_at[key_and_owner]
