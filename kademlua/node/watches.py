"""Watches: what a node reports about the keys that its program watches."""

from __future__ import annotations

from kademlua.core.values.validation import validate_key
from kademlua.core.watch.changes import Change
from kademlua.node.lifecycle import Lifecycle
from kademlua.values.watch.subscription import Subscription
from kademlua.values.watch.watcher import Watcher


class Watches:
    """The part of a node that watches keys."""

    __slots__ = ("_lifecycle", "_watcher")

    def __init__(self, lifecycle: Lifecycle, watcher: Watcher) -> None:
        self._lifecycle = lifecycle
        self._watcher = watcher

    def subscribe(self, key: bytes) -> Subscription:
        """Begin to watch a key.

        Raises:
            NodeClosed, TypeError, ValueError: see ``add``.
        """
        self._lifecycle.require_open()
        return self._watcher.subscribe(validate_key(key))

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a watch. Idempotent."""
        self._watcher.unsubscribe(subscription)

    def next_change(
        self, subscription: Subscription, timeout: float | None = None
    ) -> Change | None:
        """Block until the next change; return None after ``timeout`` seconds, or at the end."""
        return self._watcher.next_change(subscription, timeout)
