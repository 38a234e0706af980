"""What ``node.watch(key)`` returns: an iterator over the changes of a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kademlua.core.values.validation import validate_key
from kademlua.core.watch.changes import Change
from kademlua.node.operation import AnyNode, AwaitableCalls, MethodByKind
from kademlua.node.watches import Watches
from kademlua.values.watch.subscription import Subscription


class Watch:
    """The changes of a key, without end until ``close`` or the node's end.

    One that is dropped, as after a ``break``, ends within two minutes.

    >>> with node.watch(sha1("config")) as changes:
    ...     for change in changes:
    ...         print(change.kind, change.value)
    """

    def __init__(self, node: AnyNode, subscription: Subscription) -> None:
        self._node = node
        self._subscription = subscription
        node._run("_watches", Watches.subscribe, self._subscription)

    def __del__(self) -> None:
        self._subscription.is_closed = True  # in any thread; the watcher looks at each renewal

    def __iter__(self) -> Watch:
        return self

    def __next__(self) -> Change:
        change = self.next()
        if change is None:
            raise StopIteration
        return change

    def next(self, timeout: float | None = None) -> Change | None:
        """Return the next change; None after ``timeout`` seconds, or at the end of the watch."""
        while (change := self._subscription.pop()) is None:
            if not self._node._run("_watches", Watches.wait, self._subscription, timeout):
                return None
        return change

    def close(self) -> None:
        """End the watch; an iteration in another greenlet or thread ends, too. Idempotent."""
        self._node._run("_watches", Watches.unsubscribe, self._subscription)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncWatch:
    """The changes of a key, for ``async for``; it begins with the first one.

    One that is dropped, as after a ``break``, ends within two minutes.
    """

    def __init__(self, node: AnyNode, subscription: Subscription) -> None:
        self._node = node
        self._subscription = subscription
        self._may_be_begun = False

    def __del__(self) -> None:
        self._subscription.is_closed = True  # in any thread; the watcher looks at each renewal

    def __aiter__(self) -> AsyncWatch:
        return self

    async def __anext__(self) -> Change:
        change = await self.next()
        if change is None:
            raise StopAsyncIteration
        return change

    async def next(self, timeout: float | None = None) -> Change | None:
        """Return the next change; None after ``timeout`` seconds, or at the end of the watch.

        If this is cancelled, no change is lost.
        """
        while (change := self._subscription.pop()) is None:
            self._may_be_begun = True  # also if this is cancelled
            if not await self._node._run("_watches", Watches.wait, self._subscription, timeout):
                return None
        return change

    async def close(self) -> None:
        """End the watch; an iteration in another task ends, too. Idempotent."""
        if self._may_be_begun:
            await self._node._run("_watches", Watches.unsubscribe, self._subscription)
        else:
            self._subscription.close()

    async def __aenter__(self) -> AsyncWatch:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def _watch(node: Any, key: bytes) -> Any:
    """Return an iterator over the changes of a key: a ``Watch`` or ``AsyncWatch``.

    The values that exist come first, as ``ChangeKind.ADDED``. Several watches of a key cost the
    network as much as one.

    Raises:
        NodeClosed, TypeError, ValueError: see ``add``.
    """
    return open_watch(node, Subscription(validate_key(key)))


def open_watch(node: Any, subscription: Subscription) -> Watch | AsyncWatch:
    """Return the iterator of the node's kind over what a subscription has."""
    return (AsyncWatch if isinstance(node, AwaitableCalls) else Watch)(node, subscription)


_watch.__name__ = "watch"
watch_method = cast("MethodByKind[Callable[[bytes], Watch], Callable[[bytes], AsyncWatch]]", _watch)
"""The method ``watch`` of each kind of node."""
