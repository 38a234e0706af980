"""The shell of a node: Python expressions from a terminal or a pipe.

>>> Shell(node).run()

The hub runs while a line is awaited, and a command waits only in the shell's greenlet. So the node
serves others at all times.
"""

from __future__ import annotations

import functools
import sys
from types import CodeType
from typing import Any, TextIO

import gevent
from greenlet import greenlet

from kademlua.node.node import Node
from kademlua.shell.commands import ExitShell, ShellCommand, ShellCommands
from kademlua.shell.line_reader import LineReader, open_reader
from kademlua.shell.node_views import joined_text, prompt_text
from kademlua.terminal.text import pretty_format, to_one_line

_JOIN_TIMEOUT = 2.0
"""Seconds that the first prompt waits until the node has joined."""


class Shell:
    """One session of the shell."""

    def __init__(
        self,
        node: Node,
        *,
        reader: LineReader | None = None,
        output: TextIO | None = None,
        width: int | None = None,
        ends: str = "the node",
    ) -> None:
        """Open a session, by default on standard input and output.

        Messages call ``ends`` what ends with it. Run it to its end, or close it.
        """
        self._node = node
        self._output = output or sys.stdout
        self._width = width
        self._exit_target = ends
        self._namespace = ShellCommands(
            node, self._write, width=width, exit_target=self._exit_target
        ).namespace()
        if output is not None:  # Python's own writes where this process does
            self._namespace["print"] = functools.partial(print, file=self._output)
        self._reader = reader or open_reader(self._namespace)
        self._runner: greenlet | None = None
        self._is_evaluating = False

    @property
    def interactive(self) -> bool:
        """Whether a person types at a terminal."""
        return self._reader.interactive

    @property
    def names(self) -> list[str]:
        """The names that expressions can use, besides those of Python."""
        return [name for name in self._namespace if not name.startswith("__")]

    def run(self) -> bool:
        """Read and evaluate lines until the end of input or ``exit``. Blocks this greenlet.

        Return whether the node should stop too: after ``exit``, or at the end of input at a
        terminal.
        """
        self._runner = gevent.getcurrent()
        try:
            if self.interactive:
                self._node.wait_joined(_JOIN_TIMEOUT)
                self._write(joined_text(self._node))
                self._write(f"Type help for the commands, ^D to end {self._exit_target}.")
            while True:
                line = self._reader.read(prompt_text(self._node))
                if line is None:
                    return self.interactive
                self._evaluate(line.strip())
        except BrokenPipeError:  # the reader of the output has closed it
            return self.interactive
        except (ExitShell, KeyboardInterrupt):  # an interrupt may arrive just after an evaluation
            return True
        finally:
            self.close()

    def close(self) -> None:
        """Restore the terminal; idempotent."""
        self._reader.close()

    def print_above_prompt(self, text: str) -> None:
        """Show a line above the prompt, such as a log record."""
        self._reader.print_above_prompt(text)

    def interrupt(self) -> bool:
        """Interrupt the current evaluation; return False if there is none.

        For a handler of ``signal.signal``: it raises KeyboardInterrupt itself if the evaluation
        never yields.
        """
        if not self._is_evaluating or self._runner is None:
            return False
        if gevent.getcurrent() is self._runner:
            raise KeyboardInterrupt
        runner = self._runner
        gevent.get_hub().loop.run_callback_threadsafe(gevent.kill, runner, KeyboardInterrupt)
        return True

    def discard_line(self) -> None:
        """Discard the line that a person types, for a handler of ``signal.signal``."""
        gevent.get_hub().loop.run_callback_threadsafe(
            self._reader.discard_line, f"^D ends {self._exit_target}"
        )

    def _evaluate(self, line: str) -> None:
        """Execute a line and show its value; errors are shown and end nothing."""
        try:
            self._is_evaluating = True
            try:
                self._show(self._eval(line))
            finally:
                self._is_evaluating = False
        except (ExitShell, SystemExit):
            raise ExitShell from None
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:
            self._reader.print_above_prompt("interrupted")
        except Exception as error:
            self._reader.print_above_prompt(_error_line(error))

    def _eval(self, line: str) -> Any:
        """Return the value of an expression; None of a statement."""
        code = _compile(line)
        if code is None:
            return None
        value = eval(code, self._namespace)
        return (
            value() if isinstance(value, ShellCommand) and value.callable_without_parens else value
        )

    def _show(self, value: Any) -> None:
        if value is not None:
            self._namespace["_"] = value
            self._write(pretty_format(value, self._width))

    def _write(self, text: str) -> None:
        self._output.write(text + "\n")
        self._output.flush()


def _compile(line: str) -> CodeType | None:
    """Compile an expression or a statement; None for an empty line or a comment."""
    if not line or line.startswith("#"):
        return None
    try:
        return compile(line, "<shell>", "eval")
    except SyntaxError:
        return compile(line, "<shell>", "exec")


def _error_line(error: Exception) -> str:
    """Return an error as one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    name = type(error).__name__
    return to_one_line(f"{name}: {text}") if text else name
