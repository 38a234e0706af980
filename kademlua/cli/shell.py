"""``kademlua shell``: attach a shell to a running node."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click
import gevent
from gevent import Greenlet

from kademlua.cli.connect import daemon_options
from kademlua.cli.signals import SignalHandler
from kademlua.control.client import ControlClient
from kademlua.core.errors import KademluaError
from kademlua.core.text import escape_unprintable
from kademlua.shell.line_reader import open_reader

_INTERRUPT_TIMEOUT = 3.0
"""Seconds to wait for an interrupt before showing how to force it."""


class RemoteShellClient:
    """A shell that reads lines here, and evaluates them in the node's process."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self._names: dict[str, Any] = {}
        self._reader = open_reader(self._names)
        self._prompt_greenlet: Greenlet[..., None] | None = None
        self._is_evaluating = False
        self._prompt_count = 0
        self._loop = gevent.get_hub().loop
        self.failure: str | None = None
        """The error that ended the shell, or None."""

    @property
    def interactive(self) -> bool:
        """True if standard input is a terminal."""
        return self._reader.interactive

    def run(self) -> bool:
        """Run until end of input, ``exit`` or the node's end; return True."""
        width = shutil.get_terminal_size((100, 24)).columns
        try:
            number = self._client.send("shell", interactive=self.interactive, width=width)
            while True:
                message = self._client.receive(None)
                if message.get("id") == number:
                    if "ok" in message:
                        return True
                    self._handle_part(message["part"])
        except BrokenPipeError:  # the reader of standard output has ended
            return True
        except KademluaError as error:
            self.failure = str(error)
            return True
        finally:
            self.close()

    def interrupt(self) -> bool:
        """Interrupt the evaluation in the node; return False if none runs, or if it was already
        interrupted. Safe to call from a ``signal.signal`` handler."""
        if not self._is_evaluating:
            return False
        self._is_evaluating = False
        self._loop.run_callback_threadsafe(gevent.spawn, self._interrupt_remote, self._prompt_count)
        return True

    def discard_line(self) -> None:
        """Discard the line that a person types. Safe to call from a ``signal.signal`` handler."""
        self._loop.run_callback_threadsafe(self._reader.discard_line, "^D ends the shell")

    def _interrupt_remote(self, prompt_count: int) -> None:
        self._send("interrupt")
        gevent.sleep(_INTERRUPT_TIMEOUT)
        if self._prompt_count == prompt_count and self._client.pid:
            self._reader.print_above_prompt(
                f"the expression blocks the node; run: kill -INT {self._client.pid}"
            )

    def close(self) -> None:
        """Restore the terminal; idempotent."""
        if self._prompt_greenlet is not None:
            self._prompt_greenlet.kill(block=False)
            self._prompt_greenlet = None
        self._reader.close()

    def _handle_part(self, part: dict[str, Any]) -> None:
        if "out" in part:
            sys.stdout.write(escape_unprintable(part["out"], allowed="\n\t"))
            sys.stdout.flush()
        elif "note" in part:
            self._reader.print_above_prompt(escape_unprintable(part["note"]))
        elif "prompt" in part:
            self._is_evaluating = False
            self._prompt_count += 1
            # In its own greenlet, so that this one notices the end of the node.
            self._prompt_greenlet = gevent.spawn(
                self._read_line, escape_unprintable(part["prompt"])
            )
        elif "names" in part:
            self._names.update(dict.fromkeys(filter(str.isidentifier, part["names"])))

    def _read_line(self, prompt: str) -> None:
        line = self._reader.read(prompt)
        self._is_evaluating = line is not None
        self._send("line", text=line)

    def _send(self, name: str, **fields: Any) -> None:
        try:
            self._client.send(name, **fields)
        except KademluaError:  # the node has ended, and ``run`` says so
            pass


@click.command()
@daemon_options(required=True)
def shell(socket: Path) -> None:
    """Attach a shell to a running node, by default the one on port 8001.

    The node evaluates Python expressions, as in the shell of "kademlua node"; help at the prompt
    lists the commands. ^D ends the shell, but not the node. ^C interrupts an evaluation, or
    discards the typed line.

    \b
    Examples:
        kademlua shell
        kademlua shell --port 8002
        kademlua shell --data /var/lib/kademlua
        echo 'stats' | kademlua shell
    """
    with ControlClient(socket) as client:
        remote_shell = RemoteShellClient(client)
        with SignalHandler(client.close, client.close) as signal_handler:
            signal_handler.wait(remote_shell)
    if remote_shell.failure is not None:
        raise click.ClickException(remote_shell.failure)
