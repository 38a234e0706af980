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


class Conversation(Protocol):
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


class Serving:
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
        close: Callable[[], None],
        hurry: Callable[[], None],
        reopen: Callable[[], None] | None = None,
    ) -> None:
        """``reopen`` is what SIGHUP does, instead of the end."""
        self._close = close
        self._hurry = hurry
        self._reopen = reopen
        self._shell: Conversation | None = None
        self._ended = Event()
        self.break_off: Callable[[], None] = _nothing
        """Called at each signal; may raise KeyboardInterrupt in what never yields."""
        self._is_closing = False
        self._loop = gevent.get_hub().loop
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Serving:
        handlers = {signal.SIGINT: self._interrupt, signal.SIGTERM: self._end}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # no nohup
            handlers[signal.SIGHUP] = self._hang_up
        self._former = {number: signal.signal(number, do) for number, do in handlers.items()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        self._close()
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def wait(self, shell: Conversation | None) -> None:
        """Block until the end, and let a shell run meanwhile; its user may end it, too."""
        if shell is None:
            self._ended.wait()
            return
        self._shell = shell
        runner = gevent.spawn(self._converse, shell)
        try:
            self._ended.wait()
        finally:
            runner.kill()
            shell.close()

    def _converse(self, shell: Conversation) -> None:
        try:
            ends = shell.run()
        except Exception:
            logger.exception("the shell broke down")
            ends = shell.interactive
        if ends:
            self._ended.set()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.run_callback_threadsafe(self._hurry if self._is_closing else self._ended.set)
        if self._shell is not None and not self._is_closing:
            self._shell.interrupt()
        self.break_off()

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if self._reopen is None:
            self._end(number, frame)
        else:
            self._loop.run_callback_threadsafe(self._reopen)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.break_off()
        shell = None if self._is_closing else self._shell
        if shell is None or not shell.interactive or not shell.interrupt():
            self._end(number, frame)


def _nothing() -> None:
    pass
