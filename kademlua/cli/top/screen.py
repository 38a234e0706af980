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

_SLICE = 0.1
"""Seconds after which it is seen that the window has another size."""
_BEGIN = "\x1b[?1049h\x1b[?25l"
"""The other screen, which leaves the first one as it is; no cursor."""
_END = "\x1b[?25h\x1b[?1049l"


class Screen:
    """The terminal at the standard output, from ``with`` on to its end; keys come from the
    standard input, if that is a terminal, too. ^Z stops the process as ever."""

    def __init__(self) -> None:
        self._out = sys.stdout.fileno()
        self._keys = sys.stdin.fileno()
        self._former: list[Any] | None = None
        self._handler: Any = None
        self._drawn_at: tuple[int, int] | None = None

    @staticmethod
    def is_possible() -> bool:
        """Whether the standard output is a terminal that can be drawn on."""
        return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def __enter__(self) -> Screen:
        self._begin()
        self._handler = signal.signal(signal.SIGTSTP, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGTSTP, self._handler)
        self._end()

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        columns, lines = os.get_terminal_size(self._out)
        return columns or 80, lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, which have to fit, and nothing else."""
        self._drawn_at = self.size
        # A line is cleared before it is written: after one that is full, its last character went.
        shown = "".join(f"\x1b[{row};1H\x1b[2K{line}" for row, line in enumerate(lines, 1))
        rest = f"\x1b[{len(lines) + 1};1H\x1b[J" if len(lines) < self._drawn_at[1] else ""
        self._write(shown + rest)

    def wait(self, seconds: float) -> str:
        """The keys that are typed; nothing where none is in this time, or the picture no longer
        fits. ^D where there is no terminal any more."""
        until = time.monotonic() + seconds
        keys = [self._keys] if self._former is not None else []
        while (left := until - time.monotonic()) > 0 and self._drawn_at == self.size:
            if select.select(keys, [], [], min(left, _SLICE))[0]:
                return os.read(self._keys, 64).decode(errors="replace") or "\x04"
        return ""

    def _begin(self) -> None:
        if os.isatty(self._keys):
            self._former = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        self._write(_BEGIN)

    def _end(self) -> None:
        try:
            self._write(_END)
            if self._former is not None:
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._former)
        except (OSError, termios.error):
            pass  # the terminal is gone

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """^Z: give the terminal back, stop, and draw anew when it goes on."""
        self._end()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._stop)
        self._begin()
        self._drawn_at = None

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(self._out, data) :]
