"""The terminal's alternate screen, with keyboard input."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time

from rich.console import Console, RenderableType

_RESIZE_POLL_SECONDS = 0.1
"""Seconds between checks of the window size."""
_END_OF_INPUT, _SUSPEND = "\x04", "\x1a"


class Screen:
    """The alternate screen of a console's terminal, while entered.

    Keys come from standard input if it is a terminal. ^Z suspends the process as usual.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._input = sys.stdin.fileno()
        self._attributes = termios.tcgetattr(self._input) if os.isatty(self._input) else None
        self._drawn_size: tuple[int, int] | None = None

    def __enter__(self) -> Screen:
        if self._attributes is not None:
            mode = termios.tcgetattr(self._input)
            mode[3] &= ~(termios.ECHO | termios.ICANON)
            mode[6][termios.VSUSP] = b"\0"  # read ^Z as a key, to restore the terminal first
            termios.tcsetattr(self._input, termios.TCSADRAIN, mode)
        self._console.set_alt_screen()
        self._console.show_cursor(show=False)
        return self

    def __exit__(self, *_error: object) -> None:
        try:
            self._console.show_cursor()
            self._console.set_alt_screen(False)
            if self._attributes is not None:
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._attributes)
        except (OSError, termios.error):
            pass  # the terminal is gone

    def draw(self, view: RenderableType) -> None:
        """Replace the content of the screen; if lines are cut off, the last line counts them."""
        self._console.size = self._drawn_size = _, height = _window_size()
        lines = self._console.render_lines(view)
        if len(lines) > height:
            footer = f"… {len(lines) - height + 1} more lines"
            lines[max(height - 1, 1) :] = self._console.render_lines(footer)
        lines += self._console.render_lines("\n" * height)
        self._console.update_screen_lines(lines[:height])

    def wait(self, seconds: float) -> str:
        """Return the typed keys, or "" after ``seconds``, a resize or ^Z. Return ^D if the
        terminal is gone."""
        deadline = time.monotonic() + seconds
        keyboard = [self._input] if self._attributes is not None else []
        while (remaining := deadline - time.monotonic()) > 0:
            if self._drawn_size != _window_size():
                return ""
            if select.select(keyboard, [], [], min(remaining, _RESIZE_POLL_SECONDS))[0]:
                keys = os.read(self._input, 64).decode(errors="replace") or _END_OF_INPUT
                if _SUSPEND not in keys:
                    return keys
                self._suspend()
                return ""
        return ""

    def _suspend(self) -> None:
        self.__exit__()
        os.kill(0, signal.SIGTSTP)  # returns when the process continues
        self.__enter__()


def _window_size() -> tuple[int, int]:
    """Return columns and lines of the window, even if the environment contains older ones."""
    columns, lines = os.get_terminal_size(sys.stdout.fileno())
    return columns or 80, lines or 24
