"""SubnetRanking: the subnet with the largest usage, found without going through all of them."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final

_MIN_ROWS: Final = 64
"""Rows up to which obsolete ones are not worth the work."""


class SubnetRanking:
    """A heap of the usages of subnets, which exists while a store is full.

    A change adds a row; the obsolete one stays until it is the first. When most rows are obsolete,
    the heap is dropped, and the next question builds another one.
    """

    __slots__ = ("_mask", "_rows", "_usages")

    def __init__(self, usages: Mapping[bytes, int], mask: int) -> None:
        """Rank subnets by the bits of their usages that are in ``mask``."""
        self._usages = usages
        self._mask = mask
        self._rows: list[tuple[int, bytes]] | None = None
        """Negative ranks, and subnets."""

    def change(self, subnet: bytes, usage: int) -> None:
        """Record the new usage of a subnet, which has one."""
        rows = self._rows
        if rows is None:
            return
        heappush(rows, (-(usage & self._mask), subnet))
        if len(rows) > 2 * len(self._usages) + _MIN_ROWS:
            self._rows = None

    def first(self) -> bytes:
        """Return the subnet with the largest usage; there is one."""
        rows = self._rows
        if rows is None:
            rows = [(-(usage & self._mask), each) for each, usage in self._usages.items()]
            heapify(rows)
            self._rows = rows
        while True:
            rank, subnet = rows[0]
            usage = self._usages.get(subnet)
            if usage is not None and -(usage & self._mask) == rank:
                return subnet
            heappop(rows)
