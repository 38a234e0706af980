"""ContactIndex: contacts in the order of their ids, and the nearest of them to a target."""

from __future__ import annotations

from bisect import bisect_left

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS


class ContactIndex:
    """Contacts by id, one for each."""

    __slots__ = ("_contacts", "_ids")

    def __init__(self) -> None:
        self._contacts: dict[int, Contact] = {}
        self._ids: list[int] = []
        """Sorted."""

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, contact: Contact) -> None:
        """Add a contact, in place of another one with its id."""
        if contact.id_int not in self._contacts:
            self._ids.insert(bisect_left(self._ids, contact.id_int), contact.id_int)
        self._contacts[contact.id_int] = contact

    def remove(self, contact: Contact) -> None:
        """Remove a contact, if it is there."""
        if self._contacts.get(contact.id_int) == contact:
            del self._contacts[contact.id_int]
            del self._ids[bisect_left(self._ids, contact.id_int)]

    def nearest(self, target: int, count: int) -> list[Contact]:
        """Return the contacts closest to a target, nearest first, up to ``count``."""
        low, high = self._smallest_subtree(target, count)
        nearest_first = sorted([each ^ target for each in self._ids[low:high]])[:count]
        return [self._contacts[each ^ target] for each in nearest_first]

    def _smallest_subtree(self, target: int, count: int) -> tuple[int, int]:
        """Return where the ids of the smallest subtree around a target are that has ``count``.

        Each id in it is nearer to the target than all others.
        """
        ids = self._ids
        first, last = 0, len(ids)
        bit = ID_BITS
        while last - first > count and bit:
            bit -= 1
            start = target >> bit << bit
            low = bisect_left(ids, start, first, last)
            high = bisect_left(ids, start + (1 << bit), low, last)
            if high - low < count:
                break
            first, last = low, high
        return first, last
