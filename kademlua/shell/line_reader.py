"""Where the shell's lines come from: a terminal with line editing, or a pipe or file.

Either way the hub goes on while a line is awaited.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import termios
from pathlib import Path
from typing import Any, Protocol, TextIO

import gevent

try:
    import readline
    import rlcompleter
except ImportError:  # a Python built without it: no line editing
    readline = None  # type: ignore[assignment]

_EVENT_READ = 1
_CHUNK_BYTES = 65_536
_HISTORY_LINES = 1_000


class LineReader(Protocol):
    """A source of lines."""

    interactive: bool
    """Whether a person sits at the other end."""

    def read(self, prompt: str) -> str | None:
        """The next line, without its end, or None after the last; blocks this greenlet."""

    def print_above_prompt(self, text: str) -> None:
        """Write a line to the standard error output without spoiling a prompt."""

    def close(self) -> None:
        """Leave everything as it was found; idempotent."""


def open_reader(namespace: dict[str, Any]) -> LineReader:
    """The lines of the standard input. ``namespace`` is what the tabulator key completes."""
    is_terminal = sys.stdin.isatty()
    if is_terminal and sys.stdout.isatty() and readline is not None:
        return TerminalReader(namespace, history_path())
    return PipeReader(sys.stdin.fileno(), sys.stderr if is_terminal else None)


def history_path() -> Path:
    """Where the lines typed so far are kept, as the XDG base directories have it."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = state if state.startswith("/") else os.path.expanduser("~/.local/state")
    return Path(base) / "kademlua" / "history"


def is_foreground(fd: int) -> bool:
    """Whether ``fd`` is the terminal of this process, which may read from it just now."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


class PipeReader:
    """Lines of a pipe, a file or a terminal without line editing.

    Read by ourselves: Python's own reader would have to block in a thread, which it can't
    leave again when the process ends.
    """

    def __init__(self, fd: int, prompt_output: TextIO | None) -> None:
        """``prompt_output`` is where prompts go; without it, there are none."""
        self.interactive = prompt_output is not None
        self._fd = fd
        self._prompt_output = prompt_output
        self._buffer = b""
        self._is_at_prompt = False

    def read(self, prompt: str) -> str | None:
        """The next line, without its end, or None after the last."""
        if self._prompt_output is not None:
            self._prompt_output.write(prompt)
            self._prompt_output.flush()
            self._is_at_prompt = True
        parts = [self._buffer]
        while b"\n" not in parts[-1]:
            chunk = self._read_chunk()
            if not chunk:
                self._buffer = b""
                last = b"".join(parts)
                return last.decode(errors="replace") if last else None
            parts.append(chunk)
        self._is_at_prompt = False
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return line.decode(errors="replace")

    def print_above_prompt(self, text: str) -> None:
        """Write a line to the standard error output."""
        _write_stderr(text)

    def close(self) -> None:
        """End the line of a prompt; idempotent."""
        if self._is_at_prompt:
            self._is_at_prompt = False
            _write_stderr("")

    def _read_chunk(self) -> bytes:
        try:
            mode = os.fstat(self._fd).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd):
                hub = gevent.get_hub()
                with contextlib.closing(hub.loop.io(self._fd, _EVENT_READ)) as readable:
                    hub.wait(readable)
            return os.read(self._fd, _CHUNK_BYTES)
        except OSError:  # a terminal that is gone, a directory: nothing more comes
            return b""


class TerminalReader:
    """Lines of a terminal, with editing and history by readline, which blocks a thread of
    the hub's pool."""

    interactive = True

    def __init__(self, namespace: dict[str, Any], history: Path) -> None:
        """A history that can't be read or written is none, and no error."""
        self._fd = sys.stdin.fileno()
        self._saved_settings = termios.tcgetattr(self._fd)
        self._history: Path | None = history
        self._prompt: str | None = None
        """The prompt at which a line is awaited."""
        # Its switching on and off would be left half done where the process ends at a prompt.
        readline.parse_and_bind("set enable-bracketed-paste off")
        readline.parse_and_bind("tab: complete")
        readline.set_completer(rlcompleter.Completer(namespace).complete)
        readline.set_history_length(_HISTORY_LINES)
        try:
            history.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(history, os.O_CREAT | os.O_RDWR, 0o600))
            readline.read_history_file(history)
        except OSError:
            self._history = None

    def read(self, prompt: str) -> str | None:
        """The next line, without its end, or None after the last."""
        length_before = readline.get_current_history_length()
        self._prompt = prompt
        line: str | None = gevent.get_hub().threadpool.apply(_read_input, (prompt,))
        if line is None:
            return None
        self._prompt = None
        if readline.get_current_history_length() > length_before:
            self._append_history()
        return line

    def print_above_prompt(self, text: str) -> None:
        """Write a line over the prompt, and the prompt with what is typed behind it anew."""
        if self._prompt is None or not sys.stderr.isatty():
            _write_stderr(text)
        else:
            _write_stderr(f"\r\x1b[K{text}\n{self._prompt}{readline.get_line_buffer()}", end="")

    def close(self) -> None:
        """Give the terminal back as it was, though the thread may still wait at a prompt."""
        if self._prompt is not None:
            self._prompt = None
            _write_stderr("")
        if is_foreground(self._fd):  # from the background, the attempt would stop the process
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved_settings)

    def _append_history(self) -> None:
        """Add the line to the history at once: the node may be killed at any time."""
        if self._history is not None:
            with contextlib.suppress(OSError):
                readline.append_history_file(1, self._history)


def _read_input(prompt: str) -> str | None:
    """``input`` for a thread, where an exception would be reported."""
    try:
        return input(prompt)
    except (EOFError, OSError):
        return None
    except UnicodeDecodeError:
        return "# not UTF-8"


def _write_stderr(text: str, end: str = "\n") -> None:
    with contextlib.suppress(OSError, ValueError):  # closed: nobody wants to know
        sys.stderr.write(text + end)
        sys.stderr.flush()
