"""What ``node.inbox(signing_key)`` returns: an iterator over the mail of one reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from kademlua.core.results import Mail
from kademlua.crypto.signing import SigningKey
from kademlua.node.mailboxes import Inbox, Mailboxes
from kademlua.node.operation import AnyNode, AwaitableCalls, MethodByKind


class InboxFeed:
    """The mail of one reader, without end until ``close`` or the node's end.

    >>> with node.inbox(signing_key) as messages:
    ...     for message in messages:
    ...         print(message.sender.hex(), message.value)
    """

    def __init__(self, node: AnyNode, signing_key: SigningKey) -> None:
        self._node = node
        self._inbox: Inbox = node._run("_mailboxes", Mailboxes.open_inbox, signing_key)

    def __iter__(self) -> InboxFeed:
        return self

    def __next__(self) -> Mail:
        message = self.next()
        if message is None:
            raise StopIteration
        return message

    def next(self, timeout: float | None = None) -> Mail | None:
        """Return the next message; None after ``timeout`` seconds, or at the end."""
        message: Mail | None = self._node._run(
            "_mailboxes", Mailboxes.next_mail, self._inbox, timeout
        )
        return message

    def close(self) -> None:
        """End it; an iteration in another greenlet or thread ends, too. Idempotent."""
        self._node._run("_mailboxes", Mailboxes.close_inbox, self._inbox)

    def __enter__(self) -> InboxFeed:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncInboxFeed:
    """The mail of one reader, for ``async for``; it begins with the first message."""

    def __init__(self, node: AnyNode, signing_key: SigningKey) -> None:
        self._node = node
        self._signing_key = signing_key
        self._inbox: Inbox | None = None

    def __aiter__(self) -> AsyncInboxFeed:
        return self

    async def __anext__(self) -> Mail:
        message = await self.next()
        if message is None:
            raise StopAsyncIteration
        return message

    async def next(self, timeout: float | None = None) -> Mail | None:
        """Return the next message; None after ``timeout`` seconds, or at the end."""
        run = self._node._run
        if self._inbox is None:
            self._inbox = await run("_mailboxes", Mailboxes.open_inbox, self._signing_key)
        message: Mail | None = await run("_mailboxes", Mailboxes.next_mail, self._inbox, timeout)
        return message

    async def close(self) -> None:
        """End it; an iteration in another task ends, too. Idempotent."""
        if self._inbox is not None:
            await self._node._run("_mailboxes", Mailboxes.close_inbox, self._inbox)

    async def __aenter__(self) -> AsyncInboxFeed:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


def _inbox(node: Any, signing_key: SigningKey) -> Any:
    """Return an iterator over the mail to the address of a signing key.

    The messages that exist come first. Each is shown once, and only if its sender signed it for
    this reader; all else that is stored there is ignored.

    Raises:
        CryptoUnavailable, NodeClosed, TypeError: see ``put_for``.
    """
    return (AsyncInboxFeed if isinstance(node, AwaitableCalls) else InboxFeed)(node, signing_key)


_inbox.__name__ = "inbox"
inbox_method = cast(
    "MethodByKind[Callable[[SigningKey], InboxFeed], Callable[[SigningKey], AsyncInboxFeed]]",
    _inbox,
)
"""The method ``inbox`` of each kind of node."""
