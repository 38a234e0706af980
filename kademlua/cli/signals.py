"""A node that runs until it is told to end, with or without its shell."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Protocol

import gevent
from gevent.event import Event

logger = logging.getLogger(__name__)


class InteractiveShell(Protocol):
    """A shell, or what stands for one."""

    @property
    def interactive(self) -> bool:
        """Whether a person sits at a terminal."""

    def run(self) -> bool:
        """Block until its end; whether everything is to end."""

    def interrupt(self) -> bool:
        """Break off what it does; False where it does nothing."""

    def close(self) -> None:
        """Give the terminal back; idempotent."""


class SignalHandler:
    """While entered, ^C, SIGTERM and the terminal's end make ``wait`` return; at the exit ``close``
    is called.

    A ^C while the shell of a terminal does a command ends that command only. A second ^C or
    SIGTERM meanwhile calls ``hurry``. A daemon with a log file takes the terminal's end
    (SIGHUP) for a word to open that file anew.
    """

    # By Python's signals, not gevent's: those wait for the hub, to which an expression that
    # never ends does not come back.

    def __init__(
        self,
        on_stop: Callable[[], None],
        on_second_stop: Callable[[], None],
        on_hangup: Callable[[], None] | None = None,
    ) -> None:
        """``on_hangup`` is what SIGHUP does, instead of the end."""
        self._on_stop = on_stop
        self._on_second_stop = on_second_stop
        self._on_hangup = on_hangup
        self._shell: InteractiveShell | None = None
        self._stop_requested = Event()
        self.interrupt_shells: Callable[[], None] = _no_op
        """Called at each signal; may raise KeyboardInterrupt in what never yields."""
        self._is_closing = False
        self._loop = gevent.get_hub().loop
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> SignalHandler:
        handlers = {signal.SIGINT: self._handle_interrupt, signal.SIGTERM: self._handle_terminate}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # no nohup
            handlers[signal.SIGHUP] = self._handle_hangup
        self._previous_handlers = {
            number: signal.signal(number, do) for number, do in handlers.items()
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        self._on_stop()
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def wait(self, shell: InteractiveShell | None) -> None:
        """Block until the end, and let a shell run meanwhile; its user may end it, too."""
        if shell is None:
            self._stop_requested.wait()
            return
        self._shell = shell
        runner = gevent.spawn(self._run_shell, shell)
        try:
            self._stop_requested.wait()
        finally:
            runner.kill()
            shell.close()

    def _run_shell(self, shell: InteractiveShell) -> None:
        try:
            is_end = shell.run()
        except Exception:
            logger.exception("the shell broke down")
            is_end = shell.interactive
        if is_end:
            self._stop_requested.set()

    def _handle_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.run_callback_threadsafe(
            self._on_second_stop if self._is_closing else self._stop_requested.set
        )
        if self._shell is not None and not self._is_closing:
            self._shell.interrupt()
        self.interrupt_shells()

    def _handle_hangup(self, number: int, frame: FrameType | None) -> None:
        if self._on_hangup is None:
            self._handle_terminate(number, frame)
        else:
            self._loop.run_callback_threadsafe(self._on_hangup)

    def _handle_interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupt_shells()
        shell = None if self._is_closing else self._shell
        if shell is None or not shell.interactive or not shell.interrupt():
            self._handle_terminate(number, frame)


def _no_op() -> None:
    pass
