"""Virtual time: an event loop for gevent's hub whose clock jumps to the next event.

Ordinary code with its sleeps, events, queues and timeouts runs in it unchanged, as fast as
the machine can, and always in the same order:

>>> run_virtual(lambda: (gevent.sleep(86_400), virtual_now())[1])
86400.0
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, NoReturn, TypeVar, cast

import gevent
from gevent._hub_local import get_hub_if_exists, set_hub
from gevent.exceptions import LoopExit
from gevent.hub import Hub

from kademlua.core.errors import KademluaError
from kademlua.simulation.clock import leaked_greenlets
from kademlua.simulation.clock.event_queue import EventQueue
from kademlua.simulation.clock.watchers import Callback, LoopHook, Timer

T = TypeVar("T")


class RealIOError(KademluaError):
    """Code on virtual time asked for something of the real world."""


class Deadlock(KademluaError):
    """Nothing is left to happen, and the main function waits; the message says where all
    wait."""


class VirtualLoop(EventQueue):
    """A loop for ``gevent.hub.Hub(loop=...)``, as ``gevent._interfaces.ILoop`` wants it.

    Its time begins at 0.
    """

    default = False
    approx_timer_resolution = 1e-6
    MAXPRI = 2
    MINPRI = -2
    backend = "virtual"
    backend_int = 0
    iteration = depth = pendingcnt = 0

    def __init__(self) -> None:
        super().__init__()
        self._thread_id = get_ident()

    def now(self) -> float:
        """The virtual time in seconds."""
        return self.time

    def update_now(self) -> None:
        """Nothing: the clock steps by itself."""

    update = update_now

    # What there is on virtual time.

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None
    ) -> Timer:
        """A watcher that fires after so many seconds."""
        return Timer(self, after, repeat, ref=ref, priority=priority)

    def prepare(self, ref: bool = True, priority: int | None = None) -> LoopHook:
        """A watcher that fires before each turn's callbacks."""
        return LoopHook(self._prepare_hooks, ref=ref, priority=priority)

    def check(self, ref: bool = True, priority: int | None = None) -> LoopHook:
        """A watcher that fires before each turn's timers."""
        return LoopHook(self._check_hooks, ref=ref, priority=priority)

    def idle(self, ref: bool = True, priority: int | None = None) -> LoopHook:
        """A watcher that fires while nothing else is left to do at this time."""
        return LoopHook(self._idle_hooks, ref=ref, priority=priority)

    def run_callback_threadsafe(self, function: Callable[..., object], *args: Any) -> Callback:
        """As ``run_callback``; RealIOError from another thread, whose callbacks would come
        at any time."""
        if get_ident() != self._thread_id:
            _refuse("a callback from another thread")
        return self.run_callback(function, *args)

    # The real world, which is not there.

    def io(
        self, fd: object, events: int, ref: bool = True, priority: int | None = None
    ) -> NoReturn:
        """RealIOError."""
        _refuse("I/O on a file or socket")

    def signal(self, signum: int, ref: bool = True, priority: int | None = None) -> NoReturn:
        """RealIOError."""
        _refuse("a signal")

    def fork(self, ref: bool = True, priority: int | None = None) -> NoReturn:
        """RealIOError."""
        _refuse("a fork or a pool of threads (which the look-up of a host's name uses)")

    def async_(self, ref: bool = True, priority: int | None = None) -> NoReturn:
        """RealIOError."""
        _refuse("a call from another thread")

    def child(self, pid: int, trace: int = 0, ref: bool = True) -> NoReturn:
        """RealIOError."""
        _refuse("a child process")

    def stat(
        self, path: str, interval: float = 0.0, ref: bool = True, priority: int | None = None
    ) -> NoReturn:
        """RealIOError."""
        _refuse("the file system")

    def closing_fd(self, fd: object) -> bool:
        """False: nobody watches a file here."""
        return False

    def fileno(self) -> None:
        """None: it has no file."""

    def install_sigchld(self) -> None:
        """Nothing."""

    def reinit(self) -> None:
        """Nothing: a fork shares no descriptor with it."""

    def verify(self) -> None:
        """Nothing."""

    def _format(self) -> str:
        return f"virtual time={self.time} events={self.activecnt}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._format()}>"


def virtual_loop() -> VirtualLoop:
    """The loop that this thread runs on; KademluaError where its time is not virtual."""
    hub = get_hub_if_exists()
    loop: object = None if hub is None else hub.loop
    if not isinstance(loop, VirtualLoop):
        raise KademluaError("there is no virtual time here: call this inside of run_virtual")
    return loop


def virtual_now() -> float:
    """The virtual time in seconds, which began at 0: a clock for nodes."""
    try:
        return gevent.get_hub().loop.time  # type: ignore[attr-defined, no-any-return]
    except AttributeError:
        return virtual_loop().time


def sleep_until(time: float) -> None:
    """Sleep until a virtual time; yield once if it has passed."""
    gevent.sleep(max(0.0, time - virtual_now()))


def run_virtual(main: Callable[[], T]) -> T:
    """Run a function on virtual time, and the greenlets that it spawns; its result.

    The hub that this thread had stands still meanwhile, and is back afterwards. Whatever
    ``main`` raises comes out; Deadlock where it waits for what can't come. Greenlets that
    are left at its end are killed.
    """
    previous_hub = get_hub_if_exists()
    loop = VirtualLoop()
    hub = Hub(loop=cast(Any, loop))
    set_hub(hub)
    try:
        return main()
    except LoopExit as error:
        if hub not in error.args:
            raise
        raise Deadlock(
            f"nothing is left to happen at {loop.time} s of virtual time, and these wait:\n"
            + leaked_greenlets.describe(hub, error)
        ) from error
    finally:
        try:
            leaked_greenlets.kill_all(hub)
        finally:
            set_hub(cast(Hub, previous_hub))


def _refuse(request: str) -> NoReturn:
    raise RealIOError(f"code on virtual time asked for {request}: the real world is not there")
