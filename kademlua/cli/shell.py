"""``kademlua shell``: the shell of a node that runs as a daemon, from here."""

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
from kademlua.shell.line_reader import open_reader

_INTERRUPT_TIMEOUT = 3.0
"""Seconds after which an expression should be broken off."""


class RemoteShellClient:
    """The near end of a shell: lines are read here, and evaluated in the node's process."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self._names: dict[str, Any] = {}
        self._reader = open_reader(self._names)
        self._prompt_greenlet: Greenlet[..., None] | None = None
        self._is_evaluating = False
        self._prompt_count = 0
        self._loop = gevent.get_hub().loop
        self.failure: str | None = None
        """Why it ended, where nobody wanted it to."""

    @property
    def interactive(self) -> bool:
        """Whether a person sits at a terminal."""
        return self._reader.interactive

    def run(self) -> bool:
        """Converse until the end of input, ``exit`` or the node's end; True."""
        width = shutil.get_terminal_size((100, 24)).columns
        try:
            number = self._client.send("shell", interactive=self.interactive, width=width)
            while True:
                message = self._client.receive(None)
                if message.get("id") == number:
                    if "ok" in message:
                        return True
                    self._handle_part(message["part"])
        except BrokenPipeError:  # nobody reads what it says
            return True
        except KademluaError as error:
            self.failure = str(error)
            return True
        finally:
            self.close()

    def interrupt(self) -> bool:
        """Have the node break off what it evaluates; False where it does nothing, or was told
        already. For a handler of ``signal.signal``."""
        if not self._is_evaluating:
            return False
        self._is_evaluating = False
        self._loop.run_callback_threadsafe(gevent.spawn, self._interrupt_remote, self._prompt_count)
        return True

    def _interrupt_remote(self, prompt_count: int) -> None:
        self._send("interrupt")
        gevent.sleep(_INTERRUPT_TIMEOUT)
        if self._prompt_count == prompt_count and self._client.pid:
            self._reader.print_above_prompt(
                f"the node does nothing else meanwhile; kill -INT {self._client.pid} breaks it off"
            )

    def close(self) -> None:
        """Give the terminal back as it was; idempotent."""
        if self._prompt_greenlet is not None:
            self._prompt_greenlet.kill(block=False)
            self._prompt_greenlet = None
        self._reader.close()

    def _handle_part(self, part: dict[str, Any]) -> None:
        if "out" in part:
            sys.stdout.write(part["out"])
            sys.stdout.flush()
        elif "note" in part:
            self._reader.print_above_prompt(part["note"])
        elif "prompt" in part:
            self._is_evaluating = False
            self._prompt_count += 1
            # Beside this greenlet, which sees when the node ends.
            self._prompt_greenlet = gevent.spawn(self._read_line, part["prompt"])
        elif "names" in part:
            self._names.update(dict.fromkeys(part["names"]))

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

    It is the shell that "kademlua node" shows on a terminal: Python expressions, which the node
    evaluates; help at the prompt lists the commands. ^D ends the shell, and the node goes on. ^C
    breaks off what takes too long.

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
