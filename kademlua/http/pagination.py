"""Pagination of long lists in key order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import falcon
import gevent

from kademlua.core.ids import from_hex

MAX_PAGE_SIZE = 200
YIELD_EVERY = 2_000
"""Keys examined between two yields to the event loop."""


def int_param(req: falcon.Request, name: str, default: int, maximum: int) -> int:
    """Return an integer query parameter from 1 to ``maximum``.

    Raises:
        falcon.HTTPError: The parameter is not such an integer.
    """
    value = req.get_param_as_int(name, min_value=1, max_value=maximum)
    return default if value is None else value


def parse_cursor(req: falcon.Request) -> bytes:
    """Return the key after which a page begins.

    Raises:
        falcon.HTTPError: ``after`` is not a key.
    """
    cursor = req.get_param("after")
    try:
        return b"" if cursor is None else from_hex(cursor)
    except ValueError as error:
        raise falcon.HTTPInvalidParam(str(error), "after") from None


def page_of_keys(keys: Iterable[bytes], cursor: bytes, limit: int) -> list[bytes]:
    """Return the first ``limit`` keys after ``cursor``; yield to the event loop in between."""
    smallest: list[bytes] = []
    unsorted_keys: list[bytes] = []
    for seen, key in enumerate(keys, 1):
        if key > cursor:
            unsorted_keys.append(key)
        if seen % YIELD_EVERY == 0:
            smallest, unsorted_keys = heapq.nsmallest(limit, smallest + unsorted_keys), []
            gevent.sleep(0)
    return heapq.nsmallest(limit, smallest + unsorted_keys)
