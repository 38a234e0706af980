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

    def __init__(self, node: AnyNode, inbox: Inbox) -> None:
        self._node = node
        self._inbox = inbox
        node._run("_mailboxes", Mailboxes.open_inbox, inbox)

    def __iter__(self) -> InboxFeed:
        return self

    def __next__(self) -> Mail:
        message = self.next()
        if message is None:
            raise StopIteration
        return message

    def next(self, timeout: float | None = None) -> Mail | None:
        """Return the next message; None after ``timeout`` seconds, or at the end."""
        while (message := self._inbox.pop()) is None:
            if not self._node._run("_mailboxes", Mailboxes.wait_for_mail, self._inbox, timeout):
                return None
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

    def __init__(self, node: AnyNode, inbox: Inbox) -> None:
        self._node = node
        self._inbox = inbox
        self._may_be_begun = False

    def __aiter__(self) -> AsyncInboxFeed:
        return self

    async def __anext__(self) -> Mail:
        message = await self.next()
        if message is None:
            raise StopAsyncIteration
        return message

    async def next(self, timeout: float | None = None) -> Mail | None:
        """Return the next message; None after ``timeout`` seconds, or at the end.

        If this is cancelled, no message is lost.
        """
        run = self._node._run
        while (message := self._inbox.pop()) is None:
            self._may_be_begun = True  # also if this is cancelled
            if not await run("_mailboxes", Mailboxes.wait_for_mail, self._inbox, timeout):
                return None
        return message

    async def close(self) -> None:
        """End it; an iteration in another task ends, too. Idempotent."""
        if self._may_be_begun:
            await self._node._run("_mailboxes", Mailboxes.close_inbox, self._inbox)
        else:
            self._inbox.subscription.close()

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
    feed = AsyncInboxFeed if isinstance(node, AwaitableCalls) else InboxFeed
    return feed(node, Inbox(signing_key))


_inbox.__name__ = "inbox"
inbox_method = cast(
    "MethodByKind[Callable[[SigningKey], InboxFeed], Callable[[SigningKey], AsyncInboxFeed]]",
    _inbox,
)
"""The method ``inbox`` of each kind of node."""
