"""TableChanges: the contacts that entered and left a routing table."""

from __future__ import annotations

from typing import Protocol

from kademlua.core.contact import Contact


class ChangeCallback(Protocol):
    """Receives each change of a routing table; must not raise."""

    def __call__(self, contact: Contact, *, is_added: bool) -> None:
        """Receive a contact that entered the table, or left it."""


class TableChanges:
    """The contacts that entered and left since the last call of ``drain``.

    A contact that left and entered again, or the reverse, is no change.
    """

    __slots__ = ("_added", "_on_change", "_removed")

    def __init__(self, on_change: ChangeCallback) -> None:
        self._on_change = on_change
        # Lists, although they are searched: dictionaries would need 2 kB per node.
        self._added: list[Contact] = []
        self._removed: list[Contact] = []

    def on_entered(self, contact: Contact) -> None:
        """Report and record that a contact entered."""
        self._on_change(contact, is_added=True)
        if contact in self._removed:
            self._removed.remove(contact)
        else:
            self._added.append(contact)

    def on_left(self, contact: Contact) -> None:
        """Report and record that a contact left."""
        self._on_change(contact, is_added=False)
        if contact in self._added:
            self._added.remove(contact)
        else:
            self._removed.append(contact)

    def forget_removed(self, contact: Contact) -> None:
        """Do not report that a contact left."""
        if contact in self._removed:
            self._removed.remove(contact)

    def drain(self) -> tuple[dict[int, Contact], dict[int, Contact]]:
        """Return the contacts that entered and that left, by id, and forget them."""
        added = {contact.id_int: contact for contact in self._added}
        removed = {contact.id_int: contact for contact in self._removed}
        self._added.clear()
        self._removed.clear()
        return added, removed
