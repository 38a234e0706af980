"""Pagination of long lists in key order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from kademlua.runtime.time_slices import yield_to_hub

_YIELD_EVERY = 2_000
"""Keys examined between two yields to the event loop."""


def page_of_keys(keys: Iterable[bytes], cursor: bytes, limit: int) -> list[bytes]:
    """Return the first ``limit`` keys after ``cursor``; yield to the event loop in between."""
    smallest: list[bytes] = []
    unsorted_keys: list[bytes] = []
    for seen, key in enumerate(keys, 1):
        if key > cursor:
            unsorted_keys.append(key)
        if seen % _YIELD_EVERY == 0:
            smallest, unsorted_keys = heapq.nsmallest(limit, smallest + unsorted_keys), []
            yield_to_hub()
    return heapq.nsmallest(limit, smallest + unsorted_keys)
