"""Life: what the launcher's process does, and how signals end it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent
from gevent import Greenlet, GreenletExit

from kademlua.core.errors import KademluaError
from kademlua.shell.shell import Shell


class SignalGuard:
    """A greenlet that ^C, SIGTERM and the terminal's end bring to an orderly end.

    A ^C while the shell of a terminal does a command ends that command only.
    """

    # By Python's signals, not gevent's: those wait for the hub, to which an expression that
    # never ends does not come back.

    def __init__(self) -> None:
        self.shell: Shell | None = None
        """To be set where there is one."""
        self._greenlet: Greenlet[[Callable[[], None]], str | GreenletExit] | None = None
        self._loop = gevent.get_hub().loop

    def run(self, function: Callable[[], None]) -> str:
        """Do ``function`` to its end or a signal; what it raised of ours, in words, or nothing."""
        handlers = {signal.SIGINT: self._handle_interrupt, signal.SIGTERM: self._handle_terminate}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # no nohup
            handlers[signal.SIGHUP] = self._handle_terminate
        previous_handlers: dict[signal.Signals, Any] = {}
        self._greenlet = gevent.spawn(_error_message, function)
        try:
            for number, handler in handlers.items():
                previous_handlers[number] = signal.signal(number, handler)
            result = self._greenlet.get()
        finally:
            for number, handler in previous_handlers.items():
                signal.signal(number, handler)
        return result if isinstance(result, str) else ""

    def _handle_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._loop.run_callback_threadsafe(self._kill_greenlet)
        if self.shell is not None:
            self.shell.interrupt()

    def _handle_interrupt(self, number: int, frame: FrameType | None) -> None:
        shell = self.shell
        if shell is None or not shell.interactive or not shell.interrupt():
            self._handle_terminate(number, frame)

    def _kill_greenlet(self) -> None:
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:  # a second ^C must not cut the orderly end short
            greenlet.kill(block=False)


def _error_message(function: Callable[[], None]) -> str:
    """Run it; for an error of ours, raised from a greenlet, gevent would show a traceback."""
    try:
        function()
    except KademluaError as error:
        return str(error)
    return ""
