"""An event loop for gevent's hub whose clock jumps to the next event.

Ordinary gevent code with sleeps, events, queues and timeouts runs unchanged. It runs as fast as
the machine allows, and always in the same order:

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
from kademlua.simulation.clock.timers import Timer

T = TypeVar("T")


class RealIOError(KademluaError):
    """Code on virtual time requested real I/O, a signal, a thread or a process."""

    def __init__(self, request: str) -> None:
        super().__init__(f"code on virtual time requested {request}; a simulation has no real I/O")


class Deadlock(KademluaError):
    """No event is left and the main function waits; the message lists all waiting greenlets."""


def _refusing(request: str) -> Callable[..., NoReturn]:
    """Return a method that raises RealIOError."""

    def refuse(self: VirtualLoop, *args: Any, **options: Any) -> NoReturn:
        raise RealIOError(request)

    return refuse


class VirtualLoop:
    """A loop for ``gevent.hub.Hub(loop=...)`` that implements ``gevent._interfaces.ILoop``.

    Its queue is a part and no base, because an interpreted class cannot extend a compiled one.
    """

    default = False
    approx_timer_resolution = 1e-6
    MAXPRI = 2
    MINPRI = -2
    backend = "virtual"
    backend_int = 0
    iteration = depth = pendingcnt = 0

    def __init__(self) -> None:
        self.queue = queue = EventQueue()
        self.now = queue.now
        self.schedule = queue.schedule
        self.run_callback = queue.run_callback
        self.run = queue.run
        self.break_ = queue.break_
        self.destroy = queue.destroy
        self.handle_error = queue.handle_error
        self._thread_id = get_ident()

    @property
    def time(self) -> float:
        """The virtual time in seconds; it starts at 0."""
        return self.queue.time

    @property
    def activecnt(self) -> int:
        """The number of pending events and callbacks that keep the loop running."""
        return self.queue.activecnt

    @property
    def error_handler(self) -> Any:
        """The hub, while it runs."""
        return self.queue.error_handler

    @error_handler.setter
    def error_handler(self, handler: Any) -> None:
        self.queue.error_handler = handler

    def update_now(self) -> None:
        """Do nothing: time advances with the events, and no descriptor is open."""

    update = fileno = install_sigchld = reinit = verify = update_now

    def timer(
        self, after: float, repeat: float = 0.0, ref: bool = True, priority: int | None = None
    ) -> Timer:
        """Return a watcher that fires after ``after`` seconds, then every ``repeat`` seconds."""
        return Timer(self.queue, after, repeat, ref=ref, priority=priority)

    def run_callback_threadsafe(self, function: Callable[..., object], *args: Any) -> Any:
        """Call a function in the hub, as ``run_callback`` does.

        Raises:
            RealIOError: called from another thread, whose timing is not reproducible.
        """
        if get_ident() != self._thread_id:
            raise RealIOError("a callback from another thread")
        return self.run_callback(function, *args)

    # Not supported: real I/O would not be reproducible.

    io = _refusing("I/O on a file or socket")
    signal = _refusing("a signal")
    fork = _refusing("a fork or a thread pool (which resolving a host name uses)")
    async_ = _refusing("a call from another thread")
    child = _refusing("a child process")
    stat = _refusing("the file system")
    prepare = check = idle = _refusing("a call in each turn of the loop")

    def closing_fd(self, fd: object) -> bool:
        """Return False: no watcher uses a file descriptor."""
        return False

    def _format(self) -> str:
        return f"virtual time={self.time} events={self.activecnt}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._format()}>"


def virtual_loop() -> VirtualLoop:
    """Return the loop of this thread.

    Raises:
        KademluaError: the thread does not run on virtual time.
    """
    hub = get_hub_if_exists()
    loop: object = None if hub is None else hub.loop
    if not isinstance(loop, VirtualLoop):
        raise KademluaError("no virtual time: call this inside run_virtual")
    return loop


def virtual_now() -> float:
    """Return the virtual time in seconds, from 0: a clock for nodes."""
    try:
        return gevent.get_hub().loop.queue.time  # type: ignore[attr-defined, no-any-return]
    except AttributeError:
        return virtual_loop().queue.time


def sleep_until(time: float) -> None:
    """Sleep until a virtual time; yield once if it has passed."""
    gevent.sleep(max(0.0, time - virtual_now()))


def run_virtual(main: Callable[[], T]) -> T:
    """Run a function and the greenlets that it spawns on virtual time; return its result.

    The thread's previous hub is suspended meanwhile. Greenlets left at the end are killed.

    Raises:
        Deadlock: ``main`` waits, and no event is left. Exceptions of ``main`` propagate.
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
            f"no event is left at {loop.time} s of virtual time, and these greenlets wait:\n"
            + leaked_greenlets.describe(hub, error)
        ) from error
    finally:
        try:
            leaked_greenlets.kill_all(hub)
        finally:
            set_hub(cast(Hub, previous_hub))
