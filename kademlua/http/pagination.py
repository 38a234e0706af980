"""Long lists page by page: keys in order, a bounded number at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import falcon
import gevent

from kademlua.core.ids import from_hex

MAX_PAGE_SIZE = 200
YIELD_EVERY = 2_000
"""Keys looked at before others may run."""


def int_param(req: falcon.Request, name: str, default: int, maximum: int) -> int:
    """A whole number from 1 to ``maximum`` among the query's parameters; a falcon.HTTPError
    else."""
    value = req.get_param_as_int(name, min_value=1, max_value=maximum)
    return default if value is None else value


def parse_cursor(req: falcon.Request) -> bytes:
    """The key after which a page begins; a falcon.HTTPError where it is none."""
    cursor = req.get_param("after")
    try:
        return b"" if cursor is None else from_hex(cursor)
    except ValueError as error:
        raise falcon.HTTPInvalidParam(str(error), "after") from None


def page_of_keys(keys: Iterable[bytes], cursor: bytes, limit: int) -> list[bytes]:
    """The first keys behind ``cursor``; many are looked at bit by bit, so that the node goes on
    meanwhile."""
    smallest: list[bytes] = []
    unsorted_keys: list[bytes] = []
    for seen, key in enumerate(keys, 1):
        if key > cursor:
            unsorted_keys.append(key)
        if seen % YIELD_EVERY == 0:
            smallest, unsorted_keys = heapq.nsmallest(limit, smallest + unsorted_keys), []
            gevent.sleep(0)
    return heapq.nsmallest(limit, smallest + unsorted_keys)
