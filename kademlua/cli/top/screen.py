"""Screen: a terminal on which a picture is drawn again and again, and nothing stays."""

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
"""Seconds after which it is seen that the window has another size."""
_ENTER_SEQUENCE = "\x1b[?1049h\x1b[?25l"
"""The other screen, which leaves the first one as it is; no cursor."""
_LEAVE_SEQUENCE = "\x1b[?25h\x1b[?1049l"


class Screen:
    """The terminal at the standard output, from ``with`` on to its end; keys come from the
    standard input, if that is a terminal, too. ^Z stops the process as ever."""

    def __init__(self) -> None:
        self._output_fd = sys.stdout.fileno()
        self._input_fd = sys.stdin.fileno()
        self._saved_attributes: list[Any] | None = None
        self._previous_handler: Any = None
        self._drawn_size: tuple[int, int] | None = None

    @staticmethod
    def is_supported() -> bool:
        """Whether the standard output is a terminal that can be drawn on."""
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
        """Columns and lines, as they are now."""
        columns, lines = os.get_terminal_size(self._output_fd)
        return columns or 80, lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, which have to fit, and nothing else."""
        self._drawn_size = self.size
        # A line is cleared before it is written: after one that is full, its last character went.
        text = "".join(f"\x1b[{row};1H\x1b[2K{line}" for row, line in enumerate(lines, 1))
        clear_below = f"\x1b[{len(lines) + 1};1H\x1b[J" if len(lines) < self._drawn_size[1] else ""
        self._write(text + clear_below)

    def wait(self, seconds: float) -> str:
        """The keys that are typed; nothing where none is in this time, or the picture no longer
        fits. ^D where there is no terminal any more."""
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
        """^Z: give the terminal back, stop, and draw anew when it goes on."""
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
