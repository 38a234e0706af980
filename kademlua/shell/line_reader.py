"""Sources of the shell's lines: a terminal with line editing, a pipe or a file.

The hub runs while a line is awaited.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import termios
from pathlib import Path
from typing import Any, Protocol, TextIO

import gevent.socket

try:
    import readline
    import rlcompleter
except ImportError:  # a Python built without it: no line editing
    readline = None  # type: ignore[assignment]

_CHUNK_BYTES = 65_536
_INTERRUPTED = "\x03"
"""The end of a line that ^C discards."""
_INTERRUPT_BINDINGS = (
    r'"\C-x\C-y1": end-of-line',
    r'"\C-x\C-y2": quoted-insert',
    r'"\C-x\C-y3": accept-line',
    r'"\C-c": "\C-x\C-y1\C-x\C-y2\C-c\C-x\C-y3"',
)
"""They make ^C append itself to the line, shown as ^C, and accept it."""
_HISTORY_LINES = 1_000


class LineReader(Protocol):
    """A source of lines."""

    interactive: bool
    """Whether a person types the lines."""

    def read(self, prompt: str) -> str | None:
        """Return the next line without its end, or None at the end. Blocks this greenlet."""

    def print_above_prompt(self, text: str) -> None:
        """Write a line to standard error without disturbing a prompt."""

    def discard_line(self, hint: str) -> None:
        """Handle ^C at a prompt: discard the typed text, or show ``hint`` if that is impossible."""

    def close(self) -> None:
        """Restore the terminal; idempotent."""


def open_reader(namespace: dict[str, Any]) -> LineReader:
    """Return a reader of standard input; the tabulator key completes names of ``namespace``."""
    is_terminal = sys.stdin.isatty()
    if is_terminal and sys.stdout.isatty() and readline is not None:
        return TerminalReader(namespace, history_path())
    return PipeReader(sys.stdin.fileno(), sys.stderr if is_terminal else None)


def history_path() -> Path | None:
    """Return the path of the history, in the XDG state directory; None without a home directory."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = state if state.startswith("/") else os.path.expanduser("~/.local/state")
    return Path(base) / "kademlua" / "history" if os.path.isabs(base) else None


def is_foreground(fd: int) -> bool:
    """Return whether ``fd`` is this process's terminal and may be read now."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


class PipeReader:
    """Lines of a pipe, a file or a terminal without line editing.

    Python's own reader would block a thread, which could not be stopped at the end.
    """

    def __init__(self, fd: int, prompt_output: TextIO | None) -> None:
        """Read lines from ``fd``; prompts go to ``prompt_output``, if any."""
        self.interactive = prompt_output is not None
        self._fd = fd
        self._prompt_output = prompt_output
        self._buffer = b""
        self._prompt = ""
        self._is_at_prompt = False

    def read(self, prompt: str) -> str | None:
        """Return the next line without its end, or None at the end."""
        if self._prompt_output is not None:
            self._prompt_output.write(prompt)
            self._prompt_output.flush()
            self._prompt = prompt
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
        """Write a line to standard error."""
        _write_stderr(text)

    def discard_line(self, hint: str) -> None:
        """Show another prompt: the terminal has discarded the typed text."""
        if self._is_at_prompt:
            _write_stderr(f"\n{self._prompt}", end="")

    def close(self) -> None:
        """End the line of a prompt; idempotent."""
        if self._is_at_prompt:
            self._is_at_prompt = False
            _write_stderr("")

    def _read_chunk(self) -> bytes:
        try:
            mode = os.fstat(self._fd).st_mode
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(self._fd):
                gevent.socket.wait_read(self._fd)
            return os.read(self._fd, _CHUNK_BYTES)
        except OSError:  # a closed terminal, or a directory: end of input
            return b""


class TerminalReader:
    """Lines of a terminal, with editing and history by readline in a thread of the hub's pool."""

    interactive = True

    def __init__(self, namespace: dict[str, Any], history: Path | None) -> None:
        """Prepare the terminal; a history that cannot be read or written is ignored."""
        self._fd = sys.stdin.fileno()
        self._saved_settings = termios.tcgetattr(self._fd)
        self._history = history
        self._prompt: str | None = None
        """The prompt shown while a line is awaited; None otherwise."""
        # If the process ended at a prompt, the terminal would stay in this mode.
        readline.parse_and_bind("set enable-bracketed-paste off")
        readline.parse_and_bind("tab: complete")
        for binding in _INTERRUPT_BINDINGS:
            readline.parse_and_bind(binding)
        readline.set_completer(rlcompleter.Completer(namespace).complete)
        readline.set_history_length(_HISTORY_LINES)
        try:
            if history is not None:
                history.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(history, os.O_CREAT | os.O_RDWR, 0o600))
                readline.read_history_file(history)
        except OSError:
            self._history = None

    def read(self, prompt: str) -> str | None:
        """Return the next line without its end, or None at the end."""
        length_before = readline.get_current_history_length()
        self._prompt = prompt
        self._set_interrupt_key(b"\0")  # readline reads ^C as a key
        line: str | None = gevent.get_hub().threadpool.apply(_read_input, (prompt,))
        if line is None:
            return None
        self._prompt = None
        self._set_interrupt_key(self._saved_settings[6][termios.VINTR])
        is_in_history = readline.get_current_history_length() > length_before
        if line.endswith(_INTERRUPTED):
            if is_in_history:
                readline.remove_history_item(length_before)
            return ""
        if is_in_history:
            self._append_history()
        return line

    def print_above_prompt(self, text: str) -> None:
        """Write a line above the prompt, and show the prompt and the typed text again."""
        if self._prompt is None or not sys.stderr.isatty():
            _write_stderr(text)
        else:
            _write_stderr(f"\r\x1b[K{text}\n{self._prompt}{readline.get_line_buffer()}", end="")

    def discard_line(self, hint: str) -> None:
        """Show the hint: this is a signal from elsewhere, since ^C is a key at a prompt."""
        if self._prompt is not None:
            self.print_above_prompt(hint)

    def close(self) -> None:
        """Restore the terminal, even if the thread still waits at a prompt."""
        if self._prompt is not None:
            self._prompt = None
            _write_stderr("")
        if is_foreground(self._fd):  # from the background, the attempt would stop the process
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved_settings)

    def _set_interrupt_key(self, key: bytes) -> None:
        """Let a key send SIGINT, or none if it is zero."""
        if is_foreground(self._fd):
            with contextlib.suppress(termios.error):
                settings = termios.tcgetattr(self._fd)
                settings[6][termios.VINTR] = key
                termios.tcsetattr(self._fd, termios.TCSADRAIN, settings)

    def _append_history(self) -> None:
        """Append the line to the history immediately: the node may be killed at any time."""
        if self._history is not None:
            with contextlib.suppress(OSError):
                readline.append_history_file(1, self._history)


def _read_input(prompt: str) -> str | None:
    """Call ``input`` in a thread, where an exception would be reported."""
    try:
        return input(prompt)
    except (EOFError, OSError):
        return None
    except UnicodeDecodeError:
        return "# not UTF-8"


def _write_stderr(text: str, end: str = "\n") -> None:
    with contextlib.suppress(OSError, ValueError):  # standard error is closed
        sys.stderr.write(text + end)
        sys.stderr.flush()
