"""Watches: what a node reports about the keys that its program watches."""

from __future__ import annotations

from kademlua.node.lifecycle import Lifecycle
from kademlua.values.watch.subscription import Subscription
from kademlua.values.watch.watcher import Watcher


class Watches:
    """The part of a node that watches keys."""

    __slots__ = ("_lifecycle", "_watcher")

    def __init__(self, lifecycle: Lifecycle, watcher: Watcher) -> None:
        self._lifecycle = lifecycle
        self._watcher = watcher

    def subscribe(self, subscription: Subscription) -> None:
        """Begin to watch a key. Idempotent.

        Raises:
            NodeClosed: The node is not running.
        """
        self._lifecycle.require_open()
        self._watcher.subscribe(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a watch. Idempotent."""
        self._watcher.unsubscribe(subscription)

    def wait(self, subscription: Subscription, timeout: float | None = None) -> bool:
        """Block until there is a change; return False after ``timeout`` seconds, or at the end.

        It takes no change, so that one is not lost if the caller is cancelled. It begins the watch
        if that was not done.

        Raises:
            NodeClosed: The node is not running, and was not when the watch began.
        """
        if not subscription.is_begun:
            self.subscribe(subscription)
        return self._watcher.wait(subscription, timeout)
