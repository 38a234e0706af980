"""``kademlua shell``: the shell of a node that runs as a daemon, from here."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click
import gevent
from gevent import Greenlet

from kademlua.cli.connect import through_daemon
from kademlua.cli.signals import Serving
from kademlua.control.client import ControlClient
from kademlua.core.errors import KademluaError
from kademlua.shell.line_reader import open_lines

_PATIENCE = 3.0
"""Seconds after which an expression should be broken off."""


class AttachedShell:
    """The near end of a shell: lines are read here, and evaluated in the node's process."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client
        self._names: dict[str, Any] = {}
        self._lines = open_lines(self._names)
        self._asking: Greenlet[..., None] | None = None
        self._is_evaluating = False
        self._prompts = 0
        self._loop = gevent.get_hub().loop
        self.failure: str | None = None
        """Why it ended, where nobody wanted it to."""

    @property
    def interactive(self) -> bool:
        """Whether a person sits at a terminal."""
        return self._lines.interactive

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
                    self._take(message["part"])
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
        self._loop.run_callback_threadsafe(gevent.spawn, self._break_off, self._prompts)
        return True

    def _break_off(self, prompts: int) -> None:
        self._send("interrupt")
        gevent.sleep(_PATIENCE)
        if self._prompts == prompts and self._client.process:
            self._lines.notice(
                "the node does nothing else meanwhile;"
                f" kill -INT {self._client.process} breaks it off"
            )

    def close(self) -> None:
        """Give the terminal back as it was; idempotent."""
        if self._asking is not None:
            self._asking.kill(block=False)
            self._asking = None
        self._lines.close()

    def _take(self, part: dict[str, Any]) -> None:
        if "out" in part:
            sys.stdout.write(part["out"])
            sys.stdout.flush()
        elif "note" in part:
            self._lines.notice(part["note"])
        elif "prompt" in part:
            self._is_evaluating = False
            self._prompts += 1
            # Beside this greenlet, which sees when the node ends.
            self._asking = gevent.spawn(self._ask, part["prompt"])
        elif "names" in part:
            self._names.update(dict.fromkeys(part["names"]))

    def _ask(self, prompt: str) -> None:
        line = self._lines.read(prompt)
        self._is_evaluating = line is not None
        self._send("line", text=line)

    def _send(self, name: str, **fields: Any) -> None:
        try:
            self._client.send(name, **fields)
        except KademluaError:  # the node has ended, and ``run`` says so
            pass


@click.command()
@through_daemon(always=True)
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
        attached = AttachedShell(client)
        with Serving(client.close, client.close) as serving:
            serving.wait(attached)
    if attached.failure is not None:
        raise click.ClickException(attached.failure)
