"""Region: the part of the id space of which all nodes are known, from lookups of a moment ago.

The k contacts that a lookup returns are all nodes up to the distance of the farthest one. The ids
up to a distance are a few subtrees, each an interval, and intervals of neighbouring lookups join. A
key whose closest nodes are certainly among these needs no lookup.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS

_PRECISION_BITS: Final = 5
"""Leading bits of a distance that count. More would make many small intervals."""


class Region:
    """The contacts found by several lookups, and the intervals of ids that they cover."""

    __slots__ = ("_contacts", "_ends", "_ids", "_starts")

    def __init__(self, contacts: Iterable[Contact] = ()) -> None:
        """Begin with contacts that are known without a lookup, such as the node itself."""
        self._contacts: dict[int, Contact] = {}
        self._ids: list[int] = []
        """Sorted ids of the contacts."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        """Sorted intervals, which neither touch nor overlap; ends are exclusive."""
        for each in contacts:
            self._add_contact(each)

    def add(self, target: int, closest: Sequence[Contact], k: int) -> None:
        """Add the result of a complete lookup for the ``k`` closest contacts to ``target``.

        With fewer than ``k``, there are no other nodes.
        """
        for each in closest:
            self._add_contact(each)
        if len(closest) < k:
            self._cover(0, 1 << ID_BITS)
            return
        radius = max([each.id_int ^ target for each in closest]) + 1
        step = 1 << max(0, radius.bit_length() - _PRECISION_BITS)
        for start, end in _ball(target, radius // step * step):
            self._cover(start, end)

    def remove(self, contact: Contact) -> None:
        """Forget a contact: it is no node of the network any longer."""
        if self._contacts.pop(contact.id_int, None) is not None:
            del self._ids[bisect_left(self._ids, contact.id_int)]

    def replicas(self, key: int, count: int) -> list[Contact] | None:
        """Return the ``count`` nodes closest to a key, nearest first; None unless it is certain
        that all of them are known."""
        nearest = self.nearest(key, count)
        return nearest if self._gap_around(key, nearest, count) is None else None

    def next_target(self, key: int, count: int) -> int | None:
        """Return the target of the lookup that helps next to make ``replicas`` certain; None if it
        is."""
        return self._gap_around(key, self.nearest(key, count), count)

    def nearest(self, key: int, count: int) -> list[Contact]:
        """Return the known contacts closest to a key, nearest first, up to ``count``."""
        start, end = self._smallest_subtree(key, count)
        ids = self._ids[bisect_left(self._ids, start) : bisect_left(self._ids, end)]
        nearest_first = sorted([each ^ key for each in ids])[:count]
        return [self._contacts[each ^ key] for each in nearest_first]

    def _add_contact(self, contact: Contact) -> None:
        if contact.id_int not in self._contacts:
            self._ids.insert(bisect_left(self._ids, contact.id_int), contact.id_int)
        self._contacts[contact.id_int] = contact

    def _cover(self, start: int, end: int) -> None:
        """Add an interval, and join it with those that it touches."""
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def _first_gap(self, start: int, end: int) -> int | None:
        """Return the first id of an interval that is not covered, None if all are."""
        index = bisect_right(self._starts, start) - 1
        if index >= 0 and self._ends[index] > start:
            start = self._ends[index]
        return start if start < end else None

    def _gap_around(self, key: int, nearest: list[Contact], count: int) -> int | None:
        """Return an id that is not covered and no farther from a key than the nearest contacts."""
        if len(nearest) < count:
            gap = self._first_gap(key, key + 1)
            return self._first_gap(0, 1 << ID_BITS) if gap is None else gap
        radius = nearest[-1].id_int ^ key
        step = 1 << max(0, radius.bit_length() - _PRECISION_BITS)
        for start, end in reversed(_ball(key, (radius // step + 1) * step)):
            gap = self._first_gap(start, end)
            if gap is not None:
                return gap
        return None

    def _smallest_subtree(self, key: int, count: int) -> tuple[int, int]:
        """Return the smallest subtree around a key that has ``count`` known contacts.

        Each node in it is nearer to the key than all others.
        """
        low, high = 0, ID_BITS
        while low < high:
            middle = (low + high) // 2
            start, end = _subtree(key, middle)
            if bisect_left(self._ids, end) - bisect_left(self._ids, start) >= count:
                high = middle
            else:
                low = middle + 1
        return _subtree(key, low)


def _ball(center: int, radius: int) -> list[tuple[int, int]]:
    """Return the intervals of the ids at a distance below ``radius``, farthest first.

    Each bit of the radius adds a subtree.
    """
    found = []
    for bit in range(radius.bit_length()):
        if radius >> bit & 1:
            start = ((center ^ radius) >> bit ^ 1) << bit
            found.append((start, start + (1 << bit)))
    return found


def _subtree(key: int, bits: int) -> tuple[int, int]:
    """Return the interval of the ids that differ from a key only in the last ``bits`` bits."""
    start = key >> bits << bits
    return start, start + (1 << bits)
