"""What ``node.inbox(signing_key)`` returns: an iterator over the mail of one reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast, overload

from kademlua.core.results import Mail
from kademlua.crypto.signing import SigningKey
from kademlua.node.feeds import AnyNode, AsyncFeed, Feed, FeedMethods
from kademlua.node.mailboxes import Mailboxes
from kademlua.node.operation import AwaitableCalls, BlockingCalls

_METHODS: Final = FeedMethods(
    "_mailboxes", Mailboxes.open_inbox, Mailboxes.next_mail, Mailboxes.close_inbox
)


class InboxFeed(Feed[Mail]):
    """The mail of one reader, without end until ``close`` or the node's end.

    >>> with node.inbox(signing_key) as messages:
    ...     for message in messages:
    ...         print(message.sender.hex(), message.value)
    """

    def __init__(self, node: AnyNode, signing_key: SigningKey) -> None:
        super().__init__(node, _METHODS, signing_key)


class AsyncInboxFeed(AsyncFeed[Mail]):
    """The mail of one reader, for ``async for``; it begins with the first message."""

    def __init__(self, node: AnyNode, signing_key: SigningKey) -> None:
        super().__init__(node, _METHODS, signing_key)


class _InboxMethod:
    """The type of ``inbox`` for type checkers; at run time it is a function."""

    @overload
    def __get__(self, node: None, kind: type) -> Callable[..., Any]: ...
    @overload
    def __get__(self, node: BlockingCalls, kind: type) -> Callable[[SigningKey], InboxFeed]: ...
    @overload
    def __get__(
        self, node: AwaitableCalls, kind: type
    ) -> Callable[[SigningKey], AsyncInboxFeed]: ...
    def __get__(self, node: object, kind: type) -> Callable[..., Any]:
        """Return the method bound to a node."""
        raise NotImplementedError


def _inbox(node: Any, signing_key: SigningKey) -> Any:
    """Return an iterator over the mail to the address of a signing key.

    The messages that exist come first. Each is shown once, and only if its sender signed it for
    this reader; all else that is stored there is ignored.

    Raises:
        CryptoUnavailable, NodeClosed, TypeError: see ``put_for``.
    """
    return (AsyncInboxFeed if isinstance(node, AwaitableCalls) else InboxFeed)(node, signing_key)


_inbox.__name__ = "inbox"
inbox_method = cast(_InboxMethod, _inbox)
"""The method ``inbox`` of each kind of node."""
