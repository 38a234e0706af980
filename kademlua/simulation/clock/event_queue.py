"""The turns of virtual time: what is to happen when, in which order, and the clock's steps."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import gevent
from gevent.exceptions import HubDestroyed

from kademlua.simulation.clock.watchers import Callback, LoopHook, QueueEntry, Timer

logger = logging.getLogger(__name__)

_PRIORITY_STEP = 1 << 60
"""What one priority less adds to an event's number in the order of events."""
_MAX_STALE = 1_000
_MAX_ROUNDS_PER_INSTANT = 100_000
"""Rounds without a step of the clock after which somebody spins: in the world time passes
while he spins, so it passes here."""


class EventQueue:
    """A heap of events and a row of callbacks, done in turns as libev does them.

    First the callbacks, until there are none; then all events of the nearest time, higher
    priorities first, but none that they add: what they cause is for the next turn.
    """

    def __init__(self) -> None:
        self.error_handler: Any = None
        """The hub, while it runs."""
        self.time = 0.0
        """Virtual seconds; to be read only."""
        self._callbacks: deque[Callback] = deque()
        self._heap: list[QueueEntry] = []
        self._last_number = 0
        self._unreferenced = 0
        """Entries that keep nobody waiting: stale ones, and those of timers without ref."""
        self._rounds = 0
        self._prepare_hooks: list[LoopHook] = []
        self._check_hooks: list[LoopHook] = []
        self._idle_hooks: list[LoopHook] = []
        self._is_stopped = False
        self._has_warned = False

    def schedule(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the hub after ``delay`` seconds: the cheapest there is.

        It can't be taken back, and must not block. The delay must not be negative.
        """
        self._last_number = number = self._last_number + 1
        heappush(self._heap, (self.time + delay, number, function, args))

    def push(self, timer: Timer, delay: float) -> QueueEntry:
        """Put a timer into the heap."""
        self._last_number += 1
        order = self._last_number - timer.priority * _PRIORITY_STEP
        entry: QueueEntry = (self.time + delay if delay > 0 else self.time, order, None, timer)
        heappush(self._heap, entry)
        if not timer.ref:
            self._unreferenced += 1
        return entry

    def mark_stale(self, timer: Timer) -> None:
        """A timer's entry in the heap has become stale."""
        if timer.ref:
            self._unreferenced += 1

    def run_callback(self, function: Callable[..., object], *args: Any) -> Callback:
        """Call a function in the hub before time goes on."""
        callback = Callback(function, args)
        self._callbacks.append(callback)
        return callback

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Turn until nothing is left that anybody could wait for, or ``break_``."""
        heap = self._heap
        callbacks = self._callbacks
        self._is_stopped = False
        while not self._is_stopped:
            if self._prepare_hooks:
                self._run_hooks(self._prepare_hooks)
            if callbacks:
                self._run_callbacks()
            if self._check_hooks or self._idle_hooks:
                self._run_hooks(self._check_hooks)
                if self._idle_hooks and not callbacks and not (heap and heap[0][0] <= self.time):
                    self._run_hooks(self._idle_hooks)
                    continue
            unreferenced = self._unreferenced
            if len(heap) <= unreferenced:
                if callbacks:
                    continue
                return
            if unreferenced > _MAX_STALE and 2 * unreferenced > len(heap):
                self._remove_stale()
            entry = heappop(heap)
            at, _, function, args = entry
            if function is None and args.entry is not entry:
                self._unreferenced -= 1
                continue
            if heap and heap[0][0] <= at:
                self._run_batch(entry)
            else:
                if at > self.time:
                    self.time = at
                    self._rounds = 0
                elif self._detect_livelock() and heap:
                    self.time = heap[0][0]
                try:
                    if function is not None:
                        function(*args)
                    else:
                        if not args.ref:
                            self._unreferenced -= 1
                        args.fire()
                except BaseException:
                    self._report_error(args)
            if once or nowait:
                return

    def break_(self, how: int | None = None) -> None:
        """Let ``run`` end after this turn."""
        self._is_stopped = True

    def destroy(self) -> None:
        """Forget everything that was to happen."""
        self._is_stopped = True
        self._callbacks.clear()
        self._heap.clear()
        self._unreferenced = 0

    def handle_error(self, context: object, kind: Any, error: Any, trace: Any) -> None:
        """Hand an error to the hub."""
        handler = self.error_handler
        getattr(handler, "handle_error", handler)(context, kind, error, trace)

    @property
    def activecnt(self) -> int:
        """How much is still to happen."""
        return len(self._heap) - self._unreferenced + len(self._callbacks)

    def _run_batch(self, entry: QueueEntry) -> None:
        """Several events of one time: this, and all that are in the heap by now."""
        heap = self._heap
        at = entry[0]
        batch = [entry]
        while heap and heap[0][0] <= at:
            batch.append(heappop(heap))
        for entry in batch:
            if entry[2] is None and entry[3].entry is entry:
                entry[3].pending = True
        if at > self.time:
            self.time = at
            self._rounds = 0
        elif self._detect_livelock() and heap:
            self.time = heap[0][0]
        for entry in batch:
            _, _, function, args = entry
            try:
                if function is not None:
                    function(*args)
                elif args.entry is not entry:  # another of the batch stopped it
                    self._unreferenced -= 1
                else:
                    if not args.ref:
                        self._unreferenced -= 1
                    args.fire()
            except BaseException:
                self._report_error(args)

    def _run_callbacks(self) -> None:
        """All callbacks, and those that they cause."""
        callbacks = self._callbacks
        while callbacks:
            for _ in range(len(callbacks)):
                callback = callbacks.popleft()
                function, args = callback.callback, callback.args
                if function is None or args is None:
                    continue
                callback.callback = None
                try:
                    function(*args)
                except BaseException:
                    self._report_error(callback)
                finally:
                    callback.args = None
            if self._detect_livelock():
                return

    def _run_hooks(self, hooks: list[LoopHook]) -> None:
        for hook in list(hooks):
            if hook.callback is not None and hook.args is not None:
                try:
                    hook.callback(*hook.args)
                except BaseException:
                    self._report_error(hook)

    def _detect_livelock(self) -> bool:
        """Whether very much has been done since the clock last stepped."""
        self._rounds += 1
        if self._rounds < _MAX_ROUNDS_PER_INSTANT:
            return False
        self._rounds = 0
        if not self._has_warned:
            self._has_warned = True
            logger.warning("somebody spins at %s s of virtual time", self.time)
        return True

    def _remove_stale(self) -> None:
        """Take the stale entries out of the heap."""
        heap = self._heap
        heap[:] = [entry for entry in heap if entry[2] is not None or entry[3].entry is entry]
        heapify(heap)
        self._unreferenced = sum(entry[2] is None and not entry[3].ref for entry in heap)

    def _report_error(self, context: object) -> None:
        """Called from an except clause: what a callback raised goes to the hub, which
        prints it and goes on. What is meant for the program (an interrupt, a test's time
        limit) goes to the main function."""
        kind, error, trace = sys.exc_info()
        if kind is None or issubclass(kind, HubDestroyed):
            raise  # the hub ends, and its loop with it
        is_for_main = not issubclass(kind, (Exception, gevent.GreenletExit))
        self.handle_error(None if is_for_main else context, kind, error, trace)
