"""An exact index of node ids, to compare lookups with."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from kademlua.core.ids import ID_BITS


class IdIndex:
    """A sorted list of node ids that finds the closest ones to any target."""

    def __init__(self) -> None:
        self._ids: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_int: int) -> None:
        """Add the id of a node that joined."""
        insort(self._ids, id_int)

    def remove(self, id_int: int) -> None:
        """Remove the id of a node that left."""
        index = bisect_left(self._ids, id_int)
        assert self._ids[index] == id_int
        del self._ids[index]

    def closest(
        self, target: int, count: int, predicate: Callable[[int], bool] = lambda _: True
    ) -> list[int]:
        """Return the ``count`` ids closest to ``target`` that satisfy ``predicate``, in order.

        Ids that share a prefix with the target are adjacent, and closer than all others. So
        the smallest such range with enough ids contains the result.
        """
        ids = self._ids
        # 50 % more than wanted: mostly enough for one pass, although the predicate rejects some.
        min_candidates = count + count // 2
        bits = max(0, len(ids).bit_length() - min_candidates.bit_length() + 2)
        while True:
            low, high = self._prefix_range(target, bits)
            while high - low < min(min_candidates, len(ids)):
                bits -= 1
                low, high = self._prefix_range(target, bits)
            found = [number for number in ids[low:high] if predicate(number)]
            if len(found) >= count or high - low == len(ids):
                return sorted(found, key=target.__xor__)[:count]
            min_candidates *= 2

    def _prefix_range(self, target: int, shared_bits: int) -> tuple[int, int]:
        """Return the index range of the ids that share ``shared_bits`` with the target."""
        free_bits = ID_BITS - shared_bits
        first = target >> free_bits << free_bits
        ids = self._ids
        return bisect_left(ids, first), bisect_left(ids, first + (1 << free_bits))
