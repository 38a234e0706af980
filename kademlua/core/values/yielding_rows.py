"""YieldingRows: the order in which the values of a subnet yield to those of others."""

from __future__ import annotations

from kademlua.core.values.swept_heap import SweptHeap


class YieldingRows:
    """The keys and packed owners of a subnet's values, the lowest one first."""

    __slots__ = ("_heap", "_obsolete")

    def __init__(self) -> None:
        self._heap: SweptHeap[bytes] = SweptHeap(self._is_current, self._count)
        self._obsolete: dict[bytes, None] = {}
        """The rows in the heap whose values were removed."""

    def add(self, row: bytes) -> None:
        """Add the row of a value."""
        if self._obsolete and row in self._obsolete:
            del self._obsolete[row]
        else:
            self._heap.push(row)

    def discard(self, row: bytes) -> None:
        """Remove the row of a value."""
        self._obsolete[row] = None

    @property
    def first(self) -> bytes:
        """The lowest row; there is one."""
        while True:
            row = self._heap.first
            assert row is not None, "each value has a row"
            if row not in self._obsolete:
                return row
            self._heap.pop()
            del self._obsolete[row]

    def _is_current(self, row: bytes) -> bool:
        if row in self._obsolete:
            del self._obsolete[row]
            return False
        return True

    def _count(self) -> int:
        return len(self._heap) - len(self._obsolete)
