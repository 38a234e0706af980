"""The terminal's alternate screen, with keyboard input."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

_RESIZE_POLL_SECONDS = 0.1
"""Seconds between checks of the window size."""
_ENTER_SEQUENCE = "\x1b[?1049h\x1b[?25l"
"""Switch to the alternate screen and hide the cursor."""
_LEAVE_SEQUENCE = "\x1b[?25h\x1b[?1049l"


class Screen:
    """The alternate screen of the terminal at standard output, while entered.

    Keys come from standard input if it is a terminal. ^Z suspends the process as usual.
    """

    def __init__(self) -> None:
        self._output_fd = sys.stdout.fileno()
        self._input_fd = sys.stdin.fileno()
        self._saved_attributes: list[Any] | None = None
        self._previous_handler: Any = None
        self._drawn_size: tuple[int, int] | None = None

    @staticmethod
    def is_supported() -> bool:
        """Return whether standard output is a terminal, and TERM is not dumb."""
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def __enter__(self) -> Screen:
        self._enter()
        self._previous_handler = signal.signal(signal.SIGTSTP, self._handle_stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGTSTP, self._previous_handler)
        self._leave()

    @property
    def size(self) -> tuple[int, int]:
        """The current columns and lines."""
        columns, lines = os.get_terminal_size(self._output_fd)
        return columns or 80, lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Replace the content of the screen by lines, which must fit."""
        self._drawn_size = self.size
        # Clear before writing: clearing after a full line would erase its last character.
        text = "".join(f"\x1b[{row};1H\x1b[2K{line}" for row, line in enumerate(lines, 1))
        clear_below = f"\x1b[{len(lines) + 1};1H\x1b[J" if len(lines) < self._drawn_size[1] else ""
        self._write(text + clear_below)

    def wait(self, seconds: float) -> str:
        """Return the typed keys, or "" after ``seconds`` or a resize. Return ^D if the terminal
        is gone."""
        deadline = time.monotonic() + seconds
        keys = [self._input_fd] if self._saved_attributes is not None else []
        while (remaining := deadline - time.monotonic()) > 0 and self._drawn_size == self.size:
            if select.select(keys, [], [], min(remaining, _RESIZE_POLL_SECONDS))[0]:
                return os.read(self._input_fd, 64).decode(errors="replace") or "\x04"
        return ""

    def _enter(self) -> None:
        if os.isatty(self._input_fd):
            self._saved_attributes = termios.tcgetattr(self._input_fd)
            tty.setcbreak(self._input_fd)
        self._write(_ENTER_SEQUENCE)

    def _leave(self) -> None:
        try:
            self._write(_LEAVE_SEQUENCE)
            if self._saved_attributes is not None:
                termios.tcsetattr(self._input_fd, termios.TCSADRAIN, self._saved_attributes)
        except (OSError, termios.error):
            pass  # the terminal is gone

    def _handle_stop(self, number: int, _frame: FrameType | None) -> None:
        """Restore the terminal, suspend the process, and redraw on resume."""
        self._leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._handle_stop)
        self._enter()
        self._drawn_size = None

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._output_fd, data) :]
