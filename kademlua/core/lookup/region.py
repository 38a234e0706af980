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
from kademlua.core.routing.contact_index import ContactIndex

_PRECISION_BITS: Final = 5
"""Leading bits of a distance that count. More would make many small intervals."""


class Region:
    """The contacts found by several lookups, and the intervals of ids that they cover."""

    __slots__ = ("_ends", "_index", "_starts")

    def __init__(self, contacts: Iterable[Contact] = ()) -> None:
        """Begin with contacts that are known without a lookup, such as the node itself."""
        self._index = ContactIndex()
        self._starts: list[int] = []
        self._ends: list[int] = []
        """Sorted intervals, which neither touch nor overlap; ends are exclusive."""
        for each in contacts:
            self._index.add(each)

    def add(self, target: int, closest: Sequence[Contact], k: int) -> None:
        """Add the result of a complete lookup for the ``k`` closest contacts to ``target``.

        With fewer than ``k``, there are no other nodes.
        """
        for each in closest:
            self._index.add(each)
        if len(closest) < k:
            self._cover(0, 1 << ID_BITS)
            return
        radius = max([each.id_int ^ target for each in closest]) + 1
        step = 1 << max(0, radius.bit_length() - _PRECISION_BITS)
        for start, end in _ball(target, radius // step * step):
            self._cover(start, end)

    def remove(self, contact: Contact) -> None:
        """Forget a contact: it is no node of the network any longer."""
        self._index.remove(contact)

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
        return self._index.nearest(key, count)

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
