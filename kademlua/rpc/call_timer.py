"""CallTimer: wakes a client when one of its calls is late or expires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gevent

from kademlua.core.pending_calls import PendingCalls, wake_time
from kademlua.runtime.context import Context
from kademlua.runtime.timer import Timer

_MAX_READING: Final = 0.25
"""Seconds to read what has arrived before a call counts as late: a flood never ends."""


class CallTimer:
    """One timer for the deadlines of all calls.

    Replies that wait in the socket are read first: if the event loop was busy, they are not late.
    """

    __slots__ = (
        "_clock",
        "_has_unread",
        "_on_due",
        "_pending",
        "_reads_until",
        "_timer",
        "wakes_at",
    )

    def __init__(
        self, context: Context, pending: PendingCalls, on_due: Callable[[], object]
    ) -> None:
        self._clock = context.clock
        self._has_unread = context.transport.has_unread
        self._pending = pending
        self._on_due = on_due
        self._timer = Timer(self._on_timer)
        self.wakes_at = 0.0
        """When the timer fires, or fired last."""
        self._reads_until: float | None = None
        """When to stop reading; None before the timer fires."""

    def set_for(self, due_at: float, now: float) -> None:
        """Wake at this time if nothing was to happen before."""
        if not self._timer.is_running or wake_time(due_at, now) < self.wakes_at:
            self.rearm(now)

    def rearm(self, now: float) -> None:
        """Set the timer for the call that is due first."""
        due_at = self._pending.next_due()
        if due_at is None:
            self._timer.stop()
        elif not self._timer.is_running or wake_time(due_at, now) < self.wakes_at:
            self.wakes_at = wake_time(due_at, now)
            self._reads_until = None
            self._timer.start(max(self.wakes_at - now, 0.0))

    def stop(self) -> None:
        """Stop until the next call; idempotent."""
        self._timer.stop()

    def _on_timer(self) -> None:
        now = self._clock()
        if self._reads_until is None:
            self._reads_until = now + _MAX_READING
        if now < self._reads_until and self._has_unread():
            self._timer.start(0.0)
        else:
            gevent.get_hub().loop.run_callback(self._on_due)
