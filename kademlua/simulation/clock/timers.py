"""Timers of virtual time.

They implement ``IWatcher`` of ``gevent._interfaces``. Where it leaves behaviour open, they
follow libev.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from kademlua.simulation.clock.event_queue import EventQueue

QueueEntry = tuple[Any, ...]
"""A heap entry: time, order among equal times, and the function to call with its arguments.
For a timer the function is None, and the timer takes the place of the arguments. The type names
no items, because compiled code would copy the tuple, and stale entries are found by identity."""


class Timer:
    """Calls its callback after ``after`` virtual seconds, and then every ``repeat`` seconds."""

    __slots__ = (
        "_after", "_queue", "_repeat", "args", "callback", "entry", "pending", "priority", "ref"
    )  # fmt: skip

    def __init__(
        self, queue: EventQueue, after: float, repeat: float, *, ref: bool, priority: int | None
    ) -> None:
        if repeat < 0:
            raise ValueError(f"repeat must be positive or zero: {repeat!r}")
        self._queue = queue
        self._after = after
        self._repeat = repeat
        self.ref = ref
        self.priority = priority or 0
        self.callback: Callable[..., object] | None = None
        self.args: tuple[Any, ...] | None = None
        self.entry: QueueEntry | None = None
        """The valid heap entry while the timer runs; all its other entries are stale."""
        self.pending = False
        """Whether the timer is due and waits for other events of the same time."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def active(self) -> bool:
        """Whether the timer runs; as in libev, a pending timer is active only if it repeats."""
        return self.entry is not None and (self._repeat > 0 or not self.pending)

    def start(self, callback: Callable[..., object], *args: Any, update: bool = True) -> None:
        """Start the timer; if it runs, only replace its callback.

        ``update`` has no effect, because virtual time is always current.
        """
        if not callable(callback):
            raise TypeError(f"Expected callable, not {callback!r}")
        self.callback, self.args = callback, args
        if self.entry is None:
            self.entry = self._queue.push(self, self._after)

    def again(self, callback: Callable[..., object], *args: Any, update: bool = True) -> None:
        """Restart the timer with the full repeat interval; stop it if it does not repeat."""
        self.stop()
        if self._repeat:
            self.callback, self.args = callback, args
            self.entry = self._queue.push(self, self._repeat)

    def stop(self) -> None:
        """Stop watching; ``start`` may be called again."""
        if self.entry is not None:
            if not self.pending:  # a pending timer's entry has left the heap
                self._queue.mark_stale(self)
            self.entry = None
            self.pending = False
        self.callback = self.args = None

    def close(self) -> None:
        """Stop watching, as ``stop`` does."""
        self.stop()

    def fire(self) -> None:
        """Call the callback; the loop calls this after it removed the entry."""
        callback, args = self.callback, self.args
        self.pending = False
        self.entry = self._queue.push(self, self._repeat) if self._repeat else None
        assert callback is not None
        assert args is not None
        try:
            callback(*args)
        finally:
            if self.entry is None:
                self.callback = self.args = None
