"""What ``node.add_many(...)`` and its like return: iterators over results."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from kademlua.core.results import BulkReport, FindResult, StoreResult
from kademlua.node.bulk import Bulk
from kademlua.node.bulk_window import BulkWindow
from kademlua.node.operation import AnyNode, AwaitableCalls, MethodByKind

_R = TypeVar("_R", StoreResult, FindResult)
_R_co = TypeVar("_R_co", covariant=True)

_WINDOW_KEYS: Final = 8_192
_WINDOW_BYTES: Final = 8_388_608
_OTHER_BYTES: Final = 256
"""Estimated bytes of a value that is neither bytes nor text."""


class _Draw:
    """The items that are drawn for the next window: pairs of a key and a value, or keys."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._bytes = 0

    def add(self, item: Any) -> bool:
        """Add an item; return whether the window is full."""
        if isinstance(item, (tuple, list)):
            _, value = item
            self._bytes += len(value) if isinstance(value, (bytes, str)) else _OTHER_BYTES
        self.items.append(item)
        return len(self.items) >= _WINDOW_KEYS or self._bytes >= _WINDOW_BYTES


class _Run(Generic[_R]):
    """What both kinds of iterators have."""

    def __init__(self, node: AnyNode, begin: Callable[..., BulkWindow], *options: Any) -> None:
        """Prepare; ``begin`` is the method of ``Bulk`` that begins a window."""
        self.report = BulkReport()
        """The results so far."""
        self._node = node
        self._begin = begin
        self._options = options
        self._draw = _Draw()
        self._window: BulkWindow | None = None
        self._ready: deque[_R] = deque()

    def _pop(self) -> _R:
        result = self._ready.popleft()
        self.report.count(result)
        return result

    def _end_window(self, window: BulkWindow) -> None:
        self.report.lookups += window.tally.lookups
        self.report.requests += window.tally.queries + window.tally.requests
        self._window = None


class BulkRun(_Run[_R]):
    """The results of a bulk operation, in any order.

    >>> run = node.add_many((sha1(name), text) for name, text in rows)
    >>> for result in run:
    ...     if result.error is not None:
    ...         print(result.key.hex(), result.error)
    >>> print(run.report)
    """

    def __init__(
        self, node: AnyNode, source: Iterable[Any], begin: Callable[..., BulkWindow], *options: Any
    ) -> None:
        super().__init__(node, begin, *options)
        self._source = iter(source)

    def __iter__(self) -> Iterator[_R]:
        return self

    def __next__(self) -> _R:
        while not self._ready:
            if self._window is None:
                self._window = self._next_window()
            window = self._window
            if not self._node._run("_bulk", Bulk.take_results, window, self._ready):
                self._end_window(window)
        return self._pop()

    def _next_window(self) -> BulkWindow:
        for item in self._source:
            if self._draw.add(item):
                break
        if not self._draw.items:
            raise StopIteration
        window: BulkWindow = self._node._run("_bulk", self._begin, self._draw.items, *self._options)
        self._draw = _Draw()  # not before: the call may be interrupted
        return window

    def close(self) -> None:
        """End the operation early: what was not stored yet is not stored. Idempotent."""
        self._source = iter(())
        if self._window is not None:
            self._window.close()


class AsyncBulkRun(_Run[_R]):
    """The results of a bulk operation, for ``async for``, in any order."""

    def __init__(
        self,
        node: AnyNode,
        source: Iterable[Any] | AsyncIterable[Any],
        begin: Callable[..., BulkWindow],
        *options: Any,
    ) -> None:
        super().__init__(node, begin, *options)
        self._source = aiter(source) if isinstance(source, AsyncIterable) else iter(source)

    def __aiter__(self) -> AsyncBulkRun[_R]:
        return self

    async def __anext__(self) -> _R:
        while not self._ready:
            if self._window is None:
                self._window = await self._next_window()
            window = self._window
            if not await self._node._run("_bulk", Bulk.take_results, window, self._ready):
                self._end_window(window)
        return self._pop()

    async def _next_window(self) -> BulkWindow:
        if isinstance(self._source, Iterator):
            for item in self._source:
                if self._draw.add(item):
                    break
        else:
            async for item in self._source:
                if self._draw.add(item):
                    break
        if not self._draw.items:
            raise StopAsyncIteration
        window: BulkWindow = await self._node._run(
            "_bulk", self._begin, self._draw.items, *self._options
        )
        self._draw = _Draw()  # not before: the call may be interrupted
        return window

    async def close(self) -> None:
        """End the operation early: what was not stored yet is not stored. Idempotent."""
        self._source = iter(())
        if self._window is not None:
            self._window.close()


class _StoreMany(Protocol):
    def __call__(
        self, items: Iterable[tuple[bytes, Any]], *, ttl: float | None = None
    ) -> BulkRun[StoreResult]: ...


class _StoreManyAsync(Protocol):
    def __call__(
        self,
        items: Iterable[tuple[bytes, Any]] | AsyncIterable[tuple[bytes, Any]],
        *,
        ttl: float | None = None,
    ) -> AsyncBulkRun[StoreResult]: ...


class _FindMany(Protocol):
    def __call__(self, keys: Iterable[bytes], max_nodes: int = 3) -> BulkRun[FindResult]: ...


class _FindManyAsync(Protocol):
    def __call__(
        self, keys: Iterable[bytes] | AsyncIterable[bytes], max_nodes: int = 3
    ) -> AsyncBulkRun[FindResult]: ...


def _run_class(node: Any) -> Any:
    return AsyncBulkRun if isinstance(node, AwaitableCalls) else BulkRun


def add_many(node: Any, items: Any, *, ttl: float | None = None) -> Any:
    """Store a value for each of many keys, as ``add`` does; return an iterator over StoreResults.

    Keys are processed in windows of up to 8,192, or 8 MB of values: the next window is drawn from
    ``items`` when the results of the last one were taken. Neighbouring keys share a lookup. The
    error of one key is part of its result, and does not end the others. ``report`` of the iterator
    sums up.

    Args:
        items: Pairs of a key and a value. Of several values of a key, the last one remains; those
            before it in the window are not sent, and have its result.
        ttl: Seconds that the values live, default ``Params.ttl``.

    Raises:
        NotJoined, NodeClosed: from the iterator; see ``add``. It also raises what ``items`` raises;
            what was drawn before is stored if you go on.
    """
    return _run_class(node)(node, items, Bulk.add, ttl)


def overwrite_many(node: Any, items: Any, *, ttl: float | None = None) -> Any:
    """Store values like ``add_many``, each as ``overwrite`` does."""
    return _run_class(node)(node, items, Bulk.overwrite, ttl)


def publish_many(node: Any, items: Any, *, ttl: float | None = None) -> Any:
    """Store values like ``add_many``, and publish each of them as ``publish`` does."""
    return _run_class(node)(node, items, Bulk.publish, ttl)


def find_many(node: Any, keys: Any, max_nodes: int = 3) -> Any:
    """Look up the values of many keys; return an iterator over FindResults.

    A search starts with the nodes that the search for its neighbour has found. Windows and errors
    are those of ``add_many``.

    Args:
        keys: The keys.
        max_nodes: Stop the search for a key after this many nodes returned values.

    Raises:
        NotJoined, NodeClosed: from the iterator; see ``add``.
    """
    return _run_class(node)(node, keys, Bulk.find, max_nodes)


add_many_method = cast("MethodByKind[_StoreMany, _StoreManyAsync]", add_many)
overwrite_many_method = cast("MethodByKind[_StoreMany, _StoreManyAsync]", overwrite_many)
publish_many_method = cast("MethodByKind[_StoreMany, _StoreManyAsync]", publish_many)
find_many_method = cast("MethodByKind[_FindMany, _FindManyAsync]", find_many)
