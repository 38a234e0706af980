"""Fetching the values that did not fit into one findvalue reply, page by page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.pool import Pool

from kademlua.core.contact import Contact
from kademlua.core.errors import RpcFailed, RpcTimeout, WireError
from kademlua.core.wire import replies, requests
from kademlua.rpc.client import RpcClient

_CONCURRENCY = 4
"""Pages requested from one node concurrently."""
_MAX_TRIES = 3
_MAX_VALUES = 65_536
"""Upper limit of the number of further values that a node may announce."""
_MAX_SECONDS = 30.0
"""Seconds after which no further page is requested from a node, which may send them slowly."""


def fetch_remaining(
    client: RpcClient,
    contact: Contact,
    key: bytes,
    count: int,
    remaining: int,
    clock: Callable[[], float],
) -> list[Any]:
    """Return up to ``remaining`` values that follow the first ``count`` of a contact.

    Block for at most about 30 seconds. Stop early if the contact times out or its reply is
    malformed.

    Raises:
        NodeClosed: The node is closed.
        TooManyCalls: Too many calls are in flight.
    """
    page_size = max(1, count)
    end = count + min(remaining, _MAX_VALUES)
    starts = range(count, end, page_size)
    fetcher = _PageFetcher(client, contact, key, clock)
    pages = Pool(_CONCURRENCY).map(
        lambda start: fetcher.fetch_range(start, min(start + page_size, end)), starts
    )
    return [value for values in pages for value in values]


class _PageFetcher:
    """Requests pages of the values of one key from one contact."""

    def __init__(
        self, client: RpcClient, contact: Contact, key: bytes, clock: Callable[[], float]
    ) -> None:
        self._client = client
        self._contact = contact
        self._key = key
        self._clock = clock
        self._deadline = clock() + _MAX_SECONDS
        self._is_stopped = False

    def fetch_range(self, start: int, end: int) -> list[Any]:
        """Return the values from index ``start`` to ``end``, in as many pages as necessary."""
        values: list[Any] = []
        while start + len(values) < end and not self._is_stopped:
            page = self._fetch_page(end - start - len(values), start + len(values))
            if not page:
                break
            values += page[: end - start - len(values)]
            if self._clock() > self._deadline:
                self._is_stopped = True
        return values

    def _fetch_page(self, limit: int, offset: int) -> list[Any]:
        args = requests.encode_findvalue_args(self._key, limit, offset)
        contact = self._contact
        for _ in range(_MAX_TRIES):
            try:
                _, result = self._client.call(contact.endpoint, contact, "findvalue", args)
                return replies.decode_retval(result)
            except RpcTimeout:
                continue
            except (RpcFailed, WireError):
                break
        self._is_stopped = True
        return []
