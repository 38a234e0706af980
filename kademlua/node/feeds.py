"""Iterators over what a node reports without end, for each kind of node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

_T = TypeVar("_T")


class AnyNode(Protocol):
    """A Node, ThreadedNode or AsyncNode."""

    def _run(self, part: str, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class FeedMethods:
    """The methods of a part of a node that serve a feed."""

    part: str
    """The attribute of the node."""
    subscribe: Callable[..., Any]
    """Returns the subscription to an argument."""
    next: Callable[..., Any]
    """Waits for the next item of a subscription."""
    unsubscribe: Callable[..., Any]


class Feed(Generic[_T]):
    """Items, without end until ``close`` or the node's end."""

    def __init__(self, node: AnyNode, methods: FeedMethods, argument: Any) -> None:
        self._node = node
        self._methods = methods
        self._subscription: Any = node._run(methods.part, methods.subscribe, argument)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> _T:
        item = self.next()
        if item is None:
            raise StopIteration
        return item

    def next(self, timeout: float | None = None) -> _T | None:
        """Return the next item; None after ``timeout`` seconds, or at the end."""
        methods = self._methods
        item: _T | None = self._node._run(methods.part, methods.next, self._subscription, timeout)
        return item

    def close(self) -> None:
        """End it; an iteration in another greenlet or thread ends, too. Idempotent."""
        self._node._run(self._methods.part, self._methods.unsubscribe, self._subscription)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncFeed(Generic[_T]):
    """Items, for ``async for``; the subscription begins with the first one."""

    def __init__(self, node: AnyNode, methods: FeedMethods, argument: Any) -> None:
        self._node = node
        self._methods = methods
        self._argument = argument
        self._subscription: Any = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _T:
        item = await self.next()
        if item is None:
            raise StopAsyncIteration
        return item

    async def next(self, timeout: float | None = None) -> _T | None:
        """Return the next item; None after ``timeout`` seconds, or at the end."""
        run, methods = self._node._run, self._methods
        if self._subscription is None:
            self._subscription = await run(methods.part, methods.subscribe, self._argument)
        item: _T | None = await run(methods.part, methods.next, self._subscription, timeout)
        return item

    async def close(self) -> None:
        """End it; an iteration in another task ends, too. Idempotent."""
        if self._subscription is not None:
            methods = self._methods
            await self._node._run(methods.part, methods.unsubscribe, self._subscription)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()
