"""Pages: the values of one node that did not fit into its answer to a findvalue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.pool import Pool

from kademlua.core.contact import Contact
from kademlua.core.errors import RpcFailed, RpcTimeout, WireError
from kademlua.core.wire import replies, requests
from kademlua.rpc.client import Caller

_AT_ONCE = 4
"""Pages of one node asked for at a time."""
_TRIES = 3
_MOST = 65_536
"""Values that a node may say it has more of."""
_LONGEST = 30.0
"""Seconds after which no further page of one node is asked for: a liar gives them one by one."""


def rest_of(
    caller: Caller,
    contact: Contact,
    key: bytes,
    count: int,
    more: int,
    clock: Callable[[], float],
) -> list[Any]:
    """The ``more`` values that follow behind the first ``count`` of a contact, as many as it still
    has and gives in half a minute; blocks this greenlet. Who falls silent or talks nonsense has
    no more. Raises TooManyCalls and NodeClosed."""
    step = max(1, count)
    end = count + min(more, _MOST)
    starts = range(count, end, step)
    ask = _Pages(caller, contact, key, clock)
    found = Pool(_AT_ONCE).map(lambda start: ask.between(start, min(start + step, end)), starts)
    return [value for values in found for value in values]


class _Pages:
    """Asks one contact for what it has of a key."""

    def __init__(
        self, caller: Caller, contact: Contact, key: bytes, clock: Callable[[], float]
    ) -> None:
        self._caller = caller
        self._contact = contact
        self._key = key
        self._clock = clock
        self._until = clock() + _LONGEST
        self._is_over = False

    def between(self, start: int, end: int) -> list[Any]:
        """The values from one place to another, in as many pages as it takes."""
        values: list[Any] = []
        while start + len(values) < end and not self._is_over:
            page = self._ask(end - start - len(values), start + len(values))
            if not page:
                break
            values += page[: end - start - len(values)]
            if self._clock() > self._until:
                self._is_over = True
        return values

    def _ask(self, howmany: int, skip: int) -> list[Any]:
        args = requests.args_findvalue(self._key, howmany, skip)
        contact = self._contact
        for _ in range(_TRIES):
            try:
                _, result = self._caller.call(contact.endpoint, contact, "findvalue", args)
                return replies.read_retval(result)
            except RpcTimeout:
                continue
            except (RpcFailed, WireError):
                break
        self._is_over = True
        return []
