"""Heartbeat: calls a function at intervals, and notices when the node was paused."""

from __future__ import annotations

import math
from collections.abc import Callable

from kademlua.runtime.clocks import PAUSE_LATENESS
from kademlua.runtime.timer import Timer


class Heartbeat:
    """A timer of the event loop that no failure stops, since it is set before anything else.

    If it is late by ``PAUSE_LATENESS``, the node was paused: the machine slept, or the process was
    stopped. The timer may notice that only after other events of the loop. A caller that
    must know earlier compares ``overdue_at`` with the clock and calls ``notice_pause``.
    """

    __slots__ = (
        "_clock",
        "_interval",
        "_on_beat",
        "_on_pause",
        "_timer",
        "is_stopped",
        "overdue_at",
    )

    def __init__(
        self,
        clock: Callable[[], float],
        interval: Callable[[], float],
        on_beat: Callable[[], object],
        on_pause: Callable[[float], object],
    ) -> None:
        """Prepare the timer; ``start`` sets it.

        Args:
            clock: The node's clock, which includes the time asleep.
            interval: Returns the seconds until the next beat.
            on_beat: Called at each beat, in the hub.
            on_pause: Called instead after a pause, with its length in seconds. It may run in the
                hub, too, and must not block.
        """
        self._clock = clock
        self._interval = interval
        self._on_beat = on_beat
        self._on_pause = on_pause
        self._timer = Timer(self._fire)
        self.overdue_at = math.inf
        """The time after which the node was paused, by its clock."""
        self.is_stopped = False
        """Whether ``stop`` was called."""

    def start(self) -> None:
        """Beat after one interval, and then at each interval, until ``stop``."""
        if self.is_stopped:
            return
        wait = self._interval()
        self.overdue_at = self._clock() + wait + PAUSE_LATENESS
        self._timer.start(wait)

    def stop(self) -> None:
        """Stop beating for good; idempotent."""
        self.is_stopped = True
        self._timer.stop()
        self.overdue_at = math.inf

    def notice_pause(self, now: float) -> None:
        """Report a pause if there was one."""
        if now > self.overdue_at:
            pause = now - self.overdue_at + PAUSE_LATENESS
            self.start()
            self._on_pause(pause)

    def _fire(self) -> None:
        now = self._clock()
        if now > self.overdue_at:
            self.notice_pause(now)
        else:
            self.start()
            self._on_beat()
