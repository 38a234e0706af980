"""The event queue of virtual time: it orders events and advances the clock."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final

import gevent
from gevent._ffi import callback as callbacks  # type: ignore[attr-defined]  # no stub
from gevent.exceptions import HubDestroyed

from kademlua.simulation.clock.timers import QueueEntry, Timer

logger = logging.getLogger(__name__)

_PRIORITY_STEP: Final = 1 << 60
"""Added to an event's order number for each step of lower priority."""
_MAX_STALE: Final = 1_000
_MAX_ROUNDS_PER_INSTANT: Final = 100_000
"""Rounds at one virtual time after which the clock steps anyway. Real time would pass while a
greenlet busy-waits."""


class EventQueue:
    """A heap of events and a queue of callbacks, processed in the order of libev.

    A turn runs all callbacks, including those they add. Then it runs all events of the next
    time, higher priorities first. Events that these add run in the next turn.
    """

    def __init__(self) -> None:
        self.error_handler: Any = None
        """The hub, while it runs."""
        self.time = 0.0
        """Virtual seconds since the start; read-only for callers."""
        self._callbacks: deque[Any] = deque()
        """Objects of ``ICallback`` in ``gevent._interfaces``."""
        self._heap: list[QueueEntry] = []
        self._last_number = 0
        self._unreferenced = 0
        """Entries that do not keep the loop running: stale ones, and timers without ref."""
        self._rounds = 0
        self._is_stopped = False
        self._has_warned = False

    def now(self) -> float:
        """Return the virtual time in seconds; it starts at 0."""
        return self.time

    def schedule(self, delay: float, function: Callable[..., object], *args: Any) -> None:
        """Call a function in the hub after ``delay`` seconds, 0 or more.

        The call cannot be cancelled, and the function must not block.
        """
        self._last_number = number = self._last_number + 1
        heappush(self._heap, (self.time + delay, number, function, args))

    def push(self, timer: Timer, delay: float) -> QueueEntry:
        """Add a timer to the heap."""
        self._last_number += 1
        order = self._last_number - timer.priority * _PRIORITY_STEP
        entry: QueueEntry = (self.time + delay if delay > 0 else self.time, order, None, timer)
        heappush(self._heap, entry)
        if not timer.ref:
            self._unreferenced += 1
        return entry

    def mark_stale(self, timer: Timer) -> None:
        """Count a timer's heap entry as stale."""
        if timer.ref:
            self._unreferenced += 1

    def run_callback(self, function: Callable[..., object], *args: Any) -> Any:
        """Call a function in the hub at the current virtual time; return an ``ICallback``."""
        callback = callbacks.callback(function, args)
        self._callbacks.append(callback)
        return callback

    def run(self, nowait: bool = False, once: bool = False) -> None:
        """Process events until no referenced ones are left, or until ``break_``."""
        heap = self._heap
        callbacks = self._callbacks
        self._is_stopped = False
        while not self._is_stopped:
            if callbacks:
                self._run_callbacks()
            unreferenced = self._unreferenced
            if len(heap) <= unreferenced:
                if callbacks:
                    continue
                return
            if unreferenced > _MAX_STALE and 2 * unreferenced > len(heap):
                self._remove_stale()
            entry = heappop(heap)
            if _is_stale(entry):
                self._unreferenced -= 1
            else:
                self._run_batch(entry)
                if once or nowait:
                    return

    def break_(self, how: int | None = None) -> None:
        """End ``run`` after this turn."""
        self._is_stopped = True

    def destroy(self) -> None:
        """Discard all events and callbacks."""
        self._is_stopped = True
        self._callbacks.clear()
        self._heap.clear()
        self._unreferenced = 0

    def handle_error(self, context: object, kind: Any, error: Any, trace: Any) -> None:
        """Pass an error to the hub."""
        handler = self.error_handler
        getattr(handler, "handle_error", handler)(context, kind, error, trace)

    @property
    def activecnt(self) -> int:
        """The number of pending events and callbacks that keep the loop running."""
        return len(self._heap) - self._unreferenced + len(self._callbacks)

    def _run_batch(self, entry: QueueEntry) -> None:
        """Run this event and all others of its time that are in the heap now."""
        heap = self._heap
        at = entry[0]
        batch = [entry]
        while heap and heap[0][0] <= at:
            batch.append(heappop(heap))
        for entry in batch:  # which have left the heap, and are no longer counted
            if _is_stale(entry):
                self._unreferenced -= 1
            elif entry[2] is None:
                entry[3].pending = True
                self._unreferenced -= not entry[3].ref
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
                elif args.entry is entry:  # else another of the batch stopped it
                    args.fire()
            except BaseException:
                self._report_error(args)

    def _run_callbacks(self) -> None:
        """Run all callbacks, including those they add."""
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

    def _detect_livelock(self) -> bool:
        """Count a round; log once and return True after too many without a clock step."""
        self._rounds += 1
        if self._rounds < _MAX_ROUNDS_PER_INSTANT:
            return False
        self._rounds = 0
        if not self._has_warned:
            self._has_warned = True
            logger.warning("a greenlet busy-waits at %s s of virtual time", self.time)
        return True

    def _remove_stale(self) -> None:
        """Remove the stale entries from the heap."""
        heap = self._heap
        heap[:] = [entry for entry in heap if not _is_stale(entry)]
        heapify(heap)
        self._unreferenced = sum(entry[2] is None and not entry[3].ref for entry in heap)

    def _report_error(self, context: object) -> None:
        """Report the exception being handled to the hub, which prints it and continues.

        Exceptions for the program (an interrupt, a test's time limit) go to the main function.
        """
        kind, error, trace = sys.exc_info()
        if kind is None or issubclass(kind, HubDestroyed):
            raise  # the hub is being destroyed, and its loop with it
        is_for_main = not issubclass(kind, (Exception, gevent.GreenletExit))
        self.handle_error(None if is_for_main else context, kind, error, trace)


def _is_stale(entry: QueueEntry) -> bool:
    """Return whether the entry belongs to a timer that was stopped or restarted since."""
    return entry[2] is None and entry[3].entry is not entry
