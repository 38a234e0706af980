"""Subscription: the bounded queue between the watcher of a key and one consumer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from gevent.event import Event

from kademlua.core.watch.changes import Change, ChangeKind

MAX_QUEUED: Final = 1_024
"""Changes that wait for a consumer."""
_MISSED: Final = Change(ChangeKind.MISSED, None, None)


class Subscription:
    """The changes of a key for one consumer. A slow one is told that it missed some."""

    def __init__(
        self, key: bytes, view: Callable[[list[Change]], list[Change]] = lambda changes: changes
    ) -> None:
        """Queue the changes of a key in the form that ``view`` gives them."""
        self.key = key
        self.is_begun = False
        self.is_closed = False
        self.has_missed = False
        """Whether the queue was full; it then gets all values again when it is empty."""
        self._view = view
        self._changes: deque[Change] = deque()
        self._is_ready = Event()

    def put(self, changes: list[Change]) -> None:
        """Queue changes; never blocks."""
        if self.has_missed or not (changes := self._view(changes)):
            return
        if len(self._changes) + len(changes) > MAX_QUEUED:
            self.has_missed = True
        else:
            self._changes.extend(changes)
        self._is_ready.set()

    def refill(self, values: list[Change]) -> None:
        """Begin again after changes were missed, with all values."""
        self.has_missed = False
        self._changes.extend(self._view([_MISSED, *values]))
        self._is_ready.set()

    @property
    def needs_refill(self) -> bool:
        """Whether changes were missed, and all before them were consumed."""
        return self.has_missed and not self._changes

    @property
    def has_changes(self) -> bool:
        """Whether there is a change now."""
        return bool(self._changes)

    def pop(self) -> Change | None:
        """Return the next change; None if there is none now. Any thread may call it."""
        try:
            return self._changes.popleft()
        except IndexError:
            return None

    def wait(self, timeout: float | None) -> bool:
        """Block until there may be a change or the subscription is closed; return False after
        ``timeout`` seconds."""
        self._is_ready.clear()
        return self._is_ready.wait(timeout)

    def close(self) -> None:
        """End the subscription. Idempotent."""
        self.is_closed = True
        self._is_ready.set()
