"""Census: who lives, by id, and so what a lookup should find."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable

from kademlua.core.ids import ID_BITS


class Census:
    """The ids of living nodes in order; the true closest ones of any target."""

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int) -> None:
        """A node with this id lives now."""
        insort(self._numbers, number)

    def remove(self, number: int) -> None:
        """It lives no more."""
        at = bisect_left(self._numbers, number)
        assert self._numbers[at] == number
        del self._numbers[at]

    def closest(self, target: int, count: int, wanted: Callable[[int], bool]) -> list[int]:
        """Exactly the ``count`` nearest to ``target`` among those ``wanted``, nearest first.

        Ids that share a prefix with the target stand in a row, and are nearer than all
        others: so the smallest such row that has enough is all that need be looked at.
        """
        numbers = self._numbers
        # Half as much again as wanted, so that one look is mostly enough.
        least = count + count // 2
        bits = max(0, len(numbers).bit_length() - least.bit_length() + 2)
        while True:
            low, high = self._row(target, bits)
            while high - low < min(least, len(numbers)):
                bits -= 1
                low, high = self._row(target, bits)
            found = [number for number in numbers[low:high] if wanted(number)]
            if len(found) >= count or high - low == len(numbers):
                return sorted(found, key=target.__xor__)[:count]
            least *= 2

    def _row(self, target: int, shared: int) -> tuple[int, int]:
        """Where those stand that share so many bits with the target."""
        loose = ID_BITS - shared
        first = target >> loose << loose
        numbers = self._numbers
        return bisect_left(numbers, first), bisect_left(numbers, first + (1 << loose))
