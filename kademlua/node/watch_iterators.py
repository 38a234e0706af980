"""What ``node.watch(key)`` returns: an iterator over the changes of a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast, overload

from kademlua.core.values.validation import validate_key
from kademlua.core.watch.changes import Change
from kademlua.node.feeds import AnyNode, AsyncFeed, Feed, FeedMethods
from kademlua.node.operation import AwaitableCalls, BlockingCalls
from kademlua.node.watches import Watches

_METHODS: Final = FeedMethods(
    "_watches", Watches.subscribe, Watches.next_change, Watches.unsubscribe
)


class Watch(Feed[Change]):
    """The changes of a key, without end until ``close`` or the node's end.

    >>> with node.watch(sha1("config")) as changes:
    ...     for change in changes:
    ...         print(change.kind, change.value)
    """

    def __init__(self, node: AnyNode, key: bytes) -> None:
        super().__init__(node, _METHODS, key)


class AsyncWatch(AsyncFeed[Change]):
    """The changes of a key, for ``async for``; it begins with the first one."""

    def __init__(self, node: AnyNode, key: bytes) -> None:
        super().__init__(node, _METHODS, validate_key(key))


class _WatchMethod:
    """The type of ``watch`` for type checkers; at run time it is a function."""

    @overload
    def __get__(self, node: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, node: BlockingCalls, kind: type) -> Callable[[bytes], Watch]: ...
    @overload
    def __get__(self, node: AwaitableCalls, kind: type) -> Callable[[bytes], AsyncWatch]: ...
    def __get__(self, node: object, kind: type) -> Callable[..., Any]:
        """Return the method bound to a node."""
        raise NotImplementedError


def _watch(node: Any, key: bytes) -> Any:
    """Return an iterator over the changes of a key: a ``Watch`` or ``AsyncWatch``.

    The values that exist come first, as ``ChangeKind.ADDED``. Several watches of a key cost the
    network as much as one.

    Raises:
        NodeClosed, TypeError, ValueError: see ``add``.
    """
    return (AsyncWatch if isinstance(node, AwaitableCalls) else Watch)(node, key)


_watch.__name__ = "watch"
watch_method = cast(_WatchMethod, _watch)
"""The method ``watch`` of each kind of node."""
