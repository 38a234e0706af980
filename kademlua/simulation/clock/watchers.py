"""What a loop of virtual time hands out: callbacks, timers, and hooks of the loop's turn.

They follow ``ICallback`` and ``IWatcher`` of ``gevent._interfaces``, and libev where those
leave something open.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

QueueEntry = tuple[float, int, "Callable[..., object] | None", Any]
"""What stands in a loop's heap: when, in which order among those of the same time, the
function to call and its arguments; or None and the timer to fire."""


class TimerQueue(Protocol):
    """What a timer needs of its loop."""

    def push(self, timer: Timer, delay: float) -> QueueEntry:
        """Put a timer into the heap."""

    def mark_stale(self, timer: Timer) -> None:
        """A timer's entry in the heap has become stale."""


class Callback:
    """A function to be called in the loop's next turn."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args: tuple[Any, ...] | None = args

    def stop(self) -> None:
        """Let it not be called, where it still waits."""
        self.callback = self.args = None

    close = stop

    @property
    def pending(self) -> bool:
        """Whether it still waits to be called."""
        return self.callback is not None

    def __bool__(self) -> bool:
        """Whether it waits or is running: gevent asks before it schedules another."""
        return self.args is not None


class Watcher:
    """What all watchers have in common."""

    __slots__ = ("args", "callback", "priority", "ref")

    def __init__(self, *, ref: bool, priority: int | None) -> None:
        self.ref = ref
        self.priority = priority or 0
        self.callback: Callable[..., object] | None = None
        self.args: tuple[Any, ...] | None = None

    pending = False
    """Whether its event has come and its callback is yet to be called."""

    def stop(self) -> None:
        """End to watch; ``start`` may begin anew."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop for good."""
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Timer(Watcher):
    """Calls its callback when so many virtual seconds are over, and then at each repeat."""

    __slots__ = ("_after", "_queue", "_repeat", "entry", "pending")

    def __init__(
        self, queue: TimerQueue, after: float, repeat: float, *, ref: bool, priority: int | None
    ) -> None:
        if repeat < 0:
            raise ValueError(f"repeat must be positive or zero: {repeat!r}")
        super().__init__(ref=ref, priority=priority)
        self._queue = queue
        self._after = after
        self._repeat = repeat
        self.entry: QueueEntry | None = None
        """Its place in the loop's heap while it runs; any other entry of it is stale."""
        self.pending = False
        """Whether its time has come, and others that were due with it are still before it."""

    @property
    def active(self) -> bool:
        """Whether it runs; as in libev, one that is pending does so only to repeat."""
        return self.entry is not None and (self._repeat > 0 or not self.pending)

    def start(self, callback: Callable[..., object], *args: Any, update: bool = True) -> None:
        """Begin; does nothing to one that runs but to exchange its callback.

        ``update`` asks to look at the clock first, which virtual time needs not.
        """
        if not callable(callback):
            raise TypeError(f"Expected callable, not {callback!r}")
        self.callback, self.args = callback, args
        if self.entry is None:
            self.entry = self._queue.push(self, self._after)

    def again(self, callback: Callable[..., object], *args: Any, update: bool = True) -> None:
        """Begin anew with the whole repeat before it; without a repeat, stop."""
        self.stop()
        if self._repeat:
            self.callback, self.args = callback, args
            self.entry = self._queue.push(self, self._repeat)

    def stop(self) -> None:
        """End to watch; ``start`` may begin anew."""
        if self.entry is not None:
            self.entry = None
            self.pending = False
            self._queue.mark_stale(self)
        self.callback = self.args = None

    def fire(self) -> None:
        """Its time has come: called by the loop, which has taken the entry out."""
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


class LoopHook(Watcher):
    """Calls its callback at one point of each turn of the loop: prepare, check or idle."""

    __slots__ = ("_hooks",)

    def __init__(self, hooks: list[LoopHook], *, ref: bool, priority: int | None) -> None:
        super().__init__(ref=ref, priority=priority)
        self._hooks = hooks

    @property
    def active(self) -> bool:
        """Whether it watches."""
        return self in self._hooks

    def start(self, callback: Callable[..., object], *args: Any) -> None:
        """Begin to watch."""
        if not callable(callback):
            raise TypeError(f"Expected callable, not {callback!r}")
        self.callback, self.args = callback, args
        if self not in self._hooks:
            self._hooks.append(self)
            self._hooks.sort(key=lambda hook: -hook.priority)

    def stop(self) -> None:
        """End to watch; ``start`` may begin anew."""
        if self in self._hooks:
            self._hooks.remove(self)
        self.callback = self.args = None
