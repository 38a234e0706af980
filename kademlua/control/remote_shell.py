"""The shell of a node for the client of a control connection."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

from gevent import Greenlet, getcurrent, spawn
from gevent.queue import Full, Queue

from kademlua.api.fields import BadRequest, Fields
from kademlua.node.node import Node
from kademlua.shell.shell import Shell

logger = logging.getLogger(__name__)

_MAX_QUEUED_LINES = 64
"""Maximum lines received before the shell reads them."""
_CHUNK_CHARS = 65_536
"""Maximum characters of output in one message."""


class RemoteShell:
    """One shell session, which sends its output as message parts.

    The parts are ``names`` for completion, ``prompt`` when it waits for a line, ``out`` for text,
    and ``note`` for text above the prompt.
    """

    def __init__(self, node: Node, fields: Fields, send: Callable[[dict[str, Any]], None]) -> None:
        """Start a session.

        Args:
            fields: ``width`` in characters, default 100, and ``interactive``, default false.
            send: Sends a part, or raises BrokenPipeError.
        """
        width = fields.count("width", 100)
        output = _Output(send)
        self._reader = _RemoteLineReader(send, output, interactive=fields.flag("interactive"))
        fields.reject_unknown()
        shell = Shell(node, reader=self._reader, output=output, width=width, ends="the shell")
        self._shell = shell
        send({"names": sorted(shell.names)})
        self._runner: Greenlet[..., None] = spawn(self._run)

    def wait(self) -> None:
        """Block until the session ends."""
        self._runner.join()

    def handle_line(self, fields: Fields) -> dict[str, Any]:
        """Queue the line ``text``; without this field, the input ends."""
        text = fields.text("text") if "text" in fields else None
        fields.reject_unknown()
        self._reader.put_line(text)
        return {}

    def handle_interrupt(self, fields: Fields) -> dict[str, Any]:
        """Interrupt the running evaluation; ``interrupted`` is false if there was none."""
        fields.reject_unknown()
        return {"interrupted": self._shell.interrupt()}

    def interrupt(self) -> None:
        """See ``ControlServer.interrupt``."""
        if getcurrent() is self._runner:
            self._shell.interrupt()

    def close(self) -> None:
        """End the session and its evaluation; idempotent."""
        self._runner.kill(block=False)

    def _run(self) -> None:
        try:
            self._shell.run()
        except (BrokenPipeError, KeyboardInterrupt):  # a late interrupt must not end the node
            pass
        except Exception:
            logger.exception("a remote shell failed")


class _Output(io.StringIO):
    """Standard output of the shell, sent line by line."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send = send
        self._parts: list[str] = []

    def write(self, text: str) -> int:
        self._parts.append(text)
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        text = "".join(self._parts)
        self._parts.clear()
        for start in range(0, len(text), _CHUNK_CHARS):
            self._send({"out": text[start : start + _CHUNK_CHARS]})


class _RemoteLineReader:
    """Reads the lines that the client sends."""

    def __init__(
        self, send: Callable[[dict[str, Any]], None], output: _Output, *, interactive: bool
    ) -> None:
        self.interactive = interactive
        self._send = send
        self._output = output
        self._queue: Queue[str | None] = Queue(_MAX_QUEUED_LINES)

    def put_line(self, line: str | None) -> None:
        try:
            self._queue.put_nowait(line)
        except Full:
            raise BadRequest(f"{_MAX_QUEUED_LINES} lines are waiting already") from None

    def read(self, prompt: str) -> str | None:
        self._output.flush()
        self._send({"prompt": prompt})
        return self._queue.get()

    def print_above_prompt(self, text: str) -> None:
        self._output.flush()
        self._send({"note": text})

    def discard_line(self, hint: str) -> None:
        pass  # the client does

    def close(self) -> None:
        pass
