"""Long lists page by page: keys in order, a bounded number at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import falcon
import gevent

from kademlua.core.ids import from_hex

MAX_LISTED = 200
AT_ONCE = 2_000
"""Keys looked at before others may run."""


def number(req: falcon.Request, name: str, default: int, most: int) -> int:
    """A whole number from 1 to ``most`` among the query's parameters; a falcon.HTTPError else."""
    found = req.get_param_as_int(name, min_value=1, max_value=most)
    return default if found is None else found


def after(req: falcon.Request) -> bytes:
    """The key after which a page begins; a falcon.HTTPError where it is none."""
    given = req.get_param("after")
    try:
        return b"" if given is None else from_hex(given)
    except ValueError as error:
        raise falcon.HTTPInvalidParam(str(error), "after") from None


def first_keys(keys: Iterable[bytes], last: bytes, count: int) -> list[bytes]:
    """The first keys behind ``last``; many are looked at bit by bit, so that the node goes on
    meanwhile."""
    best: list[bytes] = []
    fresh: list[bytes] = []
    for seen, key in enumerate(keys, 1):
        if key > last:
            fresh.append(key)
        if seen % AT_ONCE == 0:
            best, fresh = heapq.nsmallest(count, best + fresh), []
            gevent.sleep(0)
    return heapq.nsmallest(count, best + fresh)
