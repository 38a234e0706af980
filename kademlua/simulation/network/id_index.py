"""Census: who lives, by id, and so what a lookup should find."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from kademlua.core.ids import ID_BITS


class IdIndex:
    """The ids of living nodes in order; the true closest ones of any target."""

    def __init__(self) -> None:
        self._ids: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, id_int: int) -> None:
        """A node with this id lives now."""
        insort(self._ids, id_int)

    def remove(self, id_int: int) -> None:
        """It lives no more."""
        index = bisect_left(self._ids, id_int)
        assert self._ids[index] == id_int
        del self._ids[index]

    def closest(self, target: int, count: int, predicate: Callable[[int], bool]) -> list[int]:
        """Exactly the ``count`` nearest to ``target`` among those ``predicate``, nearest first.

        Ids that share a prefix with the target stand in a row, and are nearer than all
        others: so the smallest such row that has enough is all that need be looked at.
        """
        ids = self._ids
        # Half as much again as wanted, so that one look is mostly enough.
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
        """Where those stand that share so many bits with the target."""
        free_bits = ID_BITS - shared_bits
        first = target >> free_bits << free_bits
        ids = self._ids
        return bisect_left(ids, first), bisect_left(ids, first + (1 << free_bits))
