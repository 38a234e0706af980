"""Fetching the values that did not fit into the first findvalue replies, page by page.

All nodes are asked concurrently. Callbacks process the pages; the caller's greenlet sleeps until
all nodes are done, or the time is up.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from gevent.event import AsyncResult

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout, WireError
from kademlua.core.lookup.find_budget import FindBudget
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import IgnoredValue, Purpose
from kademlua.core.results import Answer
from kademlua.core.wire import replies, requests
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

_CONCURRENCY: Final = 4
"""Pages requested from one node concurrently."""
_MAX_TRIES: Final = 3


class TruncatedAnswer(NamedTuple):
    """An answer to which further values belong."""

    answer: Answer
    received: int
    """Number of values in the first reply, including those that were ignored."""
    remaining: int
    """Number of values that follow, as the node says."""


class ValuePages:
    """The further values of several nodes, for one find."""

    def __init__(self, context: Context, client: RpcClient, key: bytes, budget: FindBudget) -> None:
        self._context = context
        self._client = client
        self._key = key
        self._budget = budget
        self._in_flight = 0
        self._finished: AsyncResult[None] = AsyncResult()

    def fetch(self, truncated: list[TruncatedAnswer], timeout: float) -> list[list[Any]]:
        """Return the further values for each answer; block for at most ``timeout`` seconds.

        Values that a node has returned before are left out. A node is asked no more when it times
        out, its reply is malformed or brings nothing new, or the budget is used up.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        sources = [_Source(each) for each in truncated]
        try:
            for source in sources:
                source.is_stopped = self._budget.is_exhausted(source.contact)
                self._request_pages(source)
            if self._in_flight:
                self._finished.wait(timeout)
        finally:
            for source in sources:
                source.is_stopped = True  # replies that come later are ignored
        if self._finished.exception is not None:
            raise self._finished.exception
        return [source.values() for source in sources]

    def _request_pages(self, source: _Source) -> None:
        """Request the next pages of a node, as many as may be in flight."""
        while source.in_flight < _CONCURRENCY and not source.is_stopped:
            page = next(source.unrequested, None)
            if page is None:
                return
            self._send(source, page)

    def _send(self, source: _Source, page: range, try_number: int = 1) -> None:
        args = requests.encode_findvalue_args(self._key, len(page), page.start)
        request = self._client.encode("findvalue", args)
        on_done = partial(self._on_done, source, page, try_number)
        self._client.send(source.contact.endpoint, source.contact, request, on_done)
        self._context.stats.calls_by_purpose[Purpose.FIND_VALUE] += 1
        source.in_flight += 1
        self._in_flight += 1

    def _on_done(
        self,
        source: _Source,
        page: range,
        try_number: int,
        call: PendingCall,
        result: list[Any] | KademluaError,
    ) -> None:
        source.in_flight -= 1
        self._in_flight -= 1
        try:
            if isinstance(result, NodeClosed):
                raise result
            if isinstance(result, RpcTimeout) and try_number < _MAX_TRIES:
                if not source.is_stopped:
                    self._send(source, page, try_number + 1)
            elif isinstance(result, KademluaError):
                source.is_stopped = True
            else:
                self._read_page(source, page, result, call.reply_bytes)
            self._request_pages(source)
        except KademluaError as error:
            source.is_stopped = True
            self._finished.set_exception(error)
        if self._in_flight == 0 and not self._finished.ready():
            self._finished.set(None)

    def _read_page(self, source: _Source, page: range, result: list[Any], reply_bytes: int) -> None:
        """Keep the new values of a reply, and request those of the page that it lacks."""
        try:
            values = replies.decode_retval(result)[: len(page)]
        except WireError as error:
            self._client.count_malformed_reply(error)
            values = []
        if source.is_stopped:
            return
        admitted = self._budget.admit(source.contact, values, reply_bytes)
        new_values = source.add(page.start, admitted)
        if len(new_values) < len(admitted):
            self._budget.count_ignored(IgnoredValue.REPEATED, len(admitted) - len(new_values))
        if not new_values or self._budget.is_exhausted(source.contact):
            source.is_stopped = True
        elif len(values) < len(page):
            self._send(source, page[len(values) :])


class _Source:
    """The state of one node: which pages it was asked for, and what it returned."""

    def __init__(self, truncated: TruncatedAnswer) -> None:
        answer, received, remaining = truncated
        self.contact: Contact = answer.contact
        self.in_flight = 0
        self.is_stopped = False
        self.unrequested: Iterator[range] = _pages(received, received + remaining)
        self._values_by_start: dict[int, list[Any]] = {}
        self._seen = {_fingerprint(each) for each in answer.values}

    def add(self, start: int, values: list[Any]) -> list[Any]:
        """Keep the values of a page that are new, and return them."""
        new_values = []
        for value in values:
            fingerprint = _fingerprint(value)
            if fingerprint not in self._seen:
                self._seen.add(fingerprint)
                new_values.append(value)
        self._values_by_start[start] = new_values
        return new_values

    def values(self) -> list[Any]:
        """Return the values of all pages, in the order of the node."""
        pages = sorted(self._values_by_start.items())
        return [value for _, values in pages for value in values]


def _pages(start: int, end: int) -> Iterator[range]:
    """Yield ranges of indices from ``start`` to ``end``, each as long as the first page was."""
    size = max(1, start)
    return (range(first, min(first + size, end)) for first in range(start, end, size))


def _fingerprint(value: Any) -> int:
    """Return a number for a value; less memory than its bytes, and no peer can predict it."""
    return hash(replies.encode_value(value))
