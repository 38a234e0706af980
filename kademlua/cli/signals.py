"""Signal handling of commands that take long or run until ^C, with or without a shell."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any, Protocol

import gevent
from gevent.event import Event

logger = logging.getLogger(__name__)

_ENDING = (signal.SIGTERM, signal.SIGHUP)


class InteractiveShell(Protocol):
    """A local or remote shell."""

    @property
    def interactive(self) -> bool:
        """True if standard input is a terminal."""

    def run(self) -> bool:
        """Block until the shell ends; return whether the program should end too."""

    def interrupt(self) -> bool:
        """Interrupt the running command; return False if none runs."""

    def discard_line(self) -> None:
        """Discard the line that a person types, without ending the shell."""

    def close(self) -> None:
        """Restore the terminal; idempotent."""


@contextmanager
def exit_on_signals(*, interrupt_status: int = 130) -> Iterator[None]:
    """Make ^C raise SystemExit with a status, SIGTERM and SIGHUP with 128 plus their number, so
    that the command cleans up.

    Not KeyboardInterrupt, for which gevent's hub shows a traceback.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(interrupt_status if number == signal.SIGINT else 128 + number)

    with _handlers(dict.fromkeys((signal.SIGINT, *_ENDING), end)):
        yield


@contextmanager
def showing_input_again() -> Iterator[None]:
    """Make SIGTERM, SIGHUP and SIGQUIT (^\\) raise SystemExit, so that a prompt that hides what is
    typed restores the terminal. ^Z is ignored: the shell would show what is typed after it."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    with _handlers(
        {**dict.fromkeys((*_ENDING, signal.SIGQUIT), end), signal.SIGTSTP: signal.SIG_IGN}
    ):
        yield


@contextmanager
def _handlers(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    """Handle signals, except those that are ignored, as under nohup."""
    previous_handlers = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, previous_handler in previous_handlers.items():
            signal.signal(number, previous_handler)


class SignalHandler:
    """Ends a program at SIGINT, SIGTERM and SIGHUP: ``wait`` returns, and the exit calls
    ``on_stop``.

    With an interactive shell, ^C interrupts its command or discards the typed line, and ends
    nothing. A second signal during ``on_stop`` calls ``on_second_stop``.
    """

    # Python's signal handlers, not gevent's: those run in the hub, to which an endless
    # expression in the shell never returns.

    def __init__(
        self,
        on_stop: Callable[[], None],
        on_second_stop: Callable[[], None],
        *,
        ignores_hangup: bool = False,
    ) -> None:
        self._on_stop = on_stop
        self._on_second_stop = on_second_stop
        self._ignores_hangup = ignores_hangup
        self._shell: InteractiveShell | None = None
        self._stop_requested = Event()
        self.interrupt_shells: Callable[[], None] = lambda: None
        """Called at each signal; may raise KeyboardInterrupt in code that never yields."""
        self._is_closing = False
        self._loop = gevent.get_hub().loop
        self._previous_handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> SignalHandler:
        handlers: dict[signal.Signals, Any] = {
            signal.SIGINT: self._handle_interrupt,
            signal.SIGTERM: self._handle_terminate,
        }
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not under nohup
            handlers[signal.SIGHUP] = (
                signal.SIG_IGN if self._ignores_hangup else self._handle_terminate
            )
        self._previous_handlers = {
            number: signal.signal(number, handler) for number, handler in handlers.items()
        }
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_closing = True
        self._on_stop()
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)

    def stop(self) -> None:
        """Make ``wait`` return."""
        self._stop_requested.set()

    def wait(self, shell: InteractiveShell | None = None) -> None:
        """Block until a signal, ``stop`` or the end of the shell."""
        with self.attached(shell) if shell is not None else nullcontext():
            self._stop_requested.wait()

    @contextmanager
    def attached(self, shell: InteractiveShell) -> Iterator[None]:
        """Run a shell while entered; its ``exit`` makes ``wait`` return."""
        self._shell = shell
        runner = gevent.spawn(self._run_shell, shell)
        try:
            yield
        finally:
            runner.kill()
            shell.close()

    def _run_shell(self, shell: InteractiveShell) -> None:
        try:
            is_end = shell.run()
        except Exception:
            logger.exception("the shell failed")
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

    def _handle_interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupt_shells()
        shell = None if self._is_closing else self._shell
        if shell is None or not shell.interactive:
            if not self._is_closing and os.isatty(2):
                os.write(2, b"\n")  # below the ^C that the terminal shows
            self._handle_terminate(number, frame)
        elif not shell.interrupt():
            shell.discard_line()
