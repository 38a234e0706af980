"""The changes of a key whose values are sealed, as a reader sees them who can open some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.watch.changes import Change, ChangeKind


class OpenedChanges:
    """Opens the values of changes, and leaves out what cannot be opened."""

    def __init__(self, open_value: Callable[[Any], Any | None]) -> None:
        """Show nothing yet; ``open_value`` returns None for what is not genuine."""
        self._open_value = open_value
        self._shown: dict[Contact, Any] = {}

    def translate(self, changes: list[Change]) -> list[Change]:
        """Return what the next changes mean to the reader."""
        translated = map(self._translate, changes)
        return [each for each in translated if each is not None]

    def _translate(self, change: Change) -> Change | None:
        owner, shown = change.owner, self._shown
        if owner is None:  # changes were missed: all values follow
            shown.clear()
            return change
        if change.kind in (ChangeKind.ADDED, ChangeKind.REPLACED):
            value = self._open_value(change.value)
            if value is not None:
                return self._show(owner, value)
            kind = ChangeKind.REMOVED  # one that can't be opened is in place of the value
        else:
            kind = change.kind
        if owner not in shown:
            return None
        return Change(kind, owner, shown.pop(owner))

    def _show(self, owner: Contact, value: Any) -> Change | None:
        previous = self._shown.get(owner)
        self._shown[owner] = value
        if previous == value:  # sealed again
            return None
        return Change(ChangeKind.ADDED if previous is None else ChangeKind.REPLACED, owner, value)
