"""SweptHeap: a heap that is rid of obsolete rows a few at a time.

A row in the middle of a heap cannot be removed cheaply, so that it stays when it becomes obsolete.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, Generic, TypeVar

from kademlua.core.contact import Contact

Row = TypeVar("Row", bytes, tuple[float, bytes, Contact])

_ROWS_PER_PUSH: Final = 4
"""Rows that are examined with each new one while obsolete rows are removed."""
_MIN_ROWS: Final = 64
"""Rows up to which obsolete ones are not worth the work."""


class SweptHeap(Generic[Row]):
    """The rows of a store, the lowest one first.

    When most rows are obsolete, a new heap takes over. Each push then moves some rows from the
    former heap into it, so that no push takes long. A heap remains one without its last row.
    """

    __slots__ = ("_count_current", "_former", "_is_current", "_rows", "_sweep_at")

    def __init__(self, is_current: Callable[[Row], bool], count_current: Callable[[], int]) -> None:
        """Create an empty heap.

        Args:
            is_current: Returns whether a row is not obsolete; called once for each row at most.
            count_current: Returns the number of such rows.
        """
        self._is_current: Callable[[Row], bool] = is_current
        self._count_current = count_current
        self._rows: list[Row] = []
        self._former: list[Row] = []
        self._sweep_at = _MIN_ROWS
        """The number of rows at which a push has more to do."""

    def __len__(self) -> int:
        return len(self._rows) + len(self._former)

    def push(self, row: Row) -> None:
        """Add a row."""
        rows = self._rows
        heappush(rows, row)
        if len(rows) >= self._sweep_at:
            self._sweep()

    @property
    def first(self) -> Row | None:
        """The lowest row, which may be obsolete; None if there is none."""
        heap = self._lower()
        return heap[0] if heap else None

    def pop(self) -> Row | None:
        """Remove and return the lowest row, which may be obsolete; None if there is none."""
        heap = self._lower()
        return heappop(heap) if heap else None

    def _lower(self) -> list[Row]:
        """Return the heap with the lowest row."""
        rows, former = self._rows, self._former
        return former if former and (not rows or former[0] < rows[0]) else rows

    def _sweep(self) -> None:
        if not self._former:
            self._sweep_at = 2 * self._count_current() + _MIN_ROWS
            if len(self._rows) < self._sweep_at:
                return
            self._former, self._rows = self._rows, []
        self._sweep_at = 0  # go on with the next push
        former = self._former
        for _ in range(min(_ROWS_PER_PUSH, len(former))):
            row = former.pop()
            if self._is_current(row):
                heappush(self._rows, row)
