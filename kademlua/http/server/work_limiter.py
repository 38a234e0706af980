"""WorkLimiter: limits HTTP work per iteration of the loop, so that datagrams never wait long."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent.hub import Waiter

TIME_BUDGET = 0.0005
"""Seconds per iteration of the loop; the last greenlet admitted may take longer."""


class WorkLimiter:
    """A gate that greenlets pass before they work.

    The loop alone would resume all greenlets with ready sockets, perhaps a hundred, before it
    looks at datagrams again. Without datagrams its iterations follow immediately, so nothing is
    lost.
    """

    def __init__(
        self, budget: float = TIME_BUDGET, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._waiters: deque[Waiter[None]] = deque()
        self._watchers: tuple[Any, ...] = ()
        self._is_armed = False
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiters)

    def acquire(self) -> None:
        """Block this greenlet until it may work, at the earliest in the next iteration."""
        if self._is_closed:
            return
        waiter: Waiter[None] = Waiter()
        self._waiters.append(waiter)
        if not self._is_armed:
            self._arm()
        try:
            waiter.get()
        except BaseException:  # killed
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            raise

    def close(self) -> None:
        """Let all waiting greenlets pass, now and in future; idempotent."""
        self._is_closed = True
        self._budget = math.inf
        if not self._is_armed:
            self._release_watchers()

    def _arm(self) -> None:
        """Make the next iteration of the loop start immediately, and resume waiting greenlets."""
        if not self._watchers:
            # Neither callbacks, which are run until none is left before the loop looks at
            # sockets, nor a timer, which goes off after a millisecond at the earliest.
            loop = gevent.get_hub().loop
            self._watchers = loop.check(), loop.idle()
        check, idle = self._watchers
        check.start(self._run_waiters)
        idle.start(_no_op)
        self._is_armed = True

    def _run_waiters(self) -> None:
        """Resume some greenlets, one after the other.

        Runs in the hub, to which each greenlet returns when it waits.
        """
        deadline = self._clock() + self._budget
        while self._waiters:
            self._waiters.popleft().switch(None)
            if self._clock() >= deadline:
                return
        for watcher in self._watchers:
            watcher.stop()
        self._is_armed = False
        if self._is_closed:
            self._release_watchers()

    def _release_watchers(self) -> None:
        for watcher in self._watchers:
            watcher.close()
        self._watchers = ()


def _no_op() -> None:
    """Do nothing: a loop with an idle watcher does not sleep."""
