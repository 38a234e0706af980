"""The client of a control socket, for the command line and other programs.

>>> with ControlClient(path) as client:
...     client.call("find", key=sha1("greeting").hex())
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kademlua.control.json_lines import InvalidLine, JsonLineStream, parse_message
from kademlua.control.unix_socket import (
    ControlError,
    check_server,
    connect,
    peer_credentials,
)
from kademlua.core.errors import KademluaError

_MAX_LINE_BYTES = 1 << 28
_REPLY_TIMEOUT = 75.0
"""Seconds to wait for a reply; longer than the timeout of the node."""


class RequestFailed(KademluaError):
    """The node refused or failed the request; the message says why."""


class NoNode(ControlError):
    """No node listens at the path."""


class NodeUnavailable(ControlError):
    """The node exited or does not respond."""


class ControlClient:
    """A connection to a running node, for one greenlet and one request at a time."""

    def __init__(self, path: Path, *, timeout: float = _REPLY_TIMEOUT) -> None:
        """Connect; ``timeout`` is the seconds to wait for each reply, default 75.

        Raises:
            NoNode: No node listens at the path.
            ControlError: It cannot be connected to.
            UntrustedSocket: It may be a process of another user.
        """
        try:
            sock = connect(path)
        except (FileNotFoundError, NotADirectoryError):
            raise NoNode(f"no node runs at {path}: there is no such socket") from None
        except ConnectionRefusedError:
            raise NoNode(f"no node runs at {path}: nothing listens there") from None
        except TimeoutError:
            raise ControlError(f"the node at {path} accepts no connections") from None
        except OSError as error:
            raise ControlError(f"can't connect to {path}: {error.strerror}") from None
        try:
            check_server(sock, path)
        except BaseException:
            sock.close()
            raise
        self._stream = JsonLineStream(sock, _MAX_LINE_BYTES)
        self._last_id = 0
        self._timeout = timeout
        self.pid = peer_credentials(sock)[0]
        """The process id of the node; 0 if the system does not report it."""

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._stream.close()

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        """Run an operation of ``NodeApi`` and return its result; omit fields that are None.

        Raises:
            RequestFailed: The node reported an error.
            NodeUnavailable: The node exited or did not reply in time.
        """
        *_, last = self._replies(name, fields)
        result: dict[str, Any] = last["ok"]
        return result

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of an operation.

        Raises:
            RequestFailed: The node reported an error.
            NodeUnavailable: The node exited or did not reply in time.
        """
        for message in self._replies(name, fields):
            if "part" in message:
                yield from message["part"]["rows"]

    def wait_closed(self, timeout: float) -> None:
        """Block until the node closes the connection, or for ``timeout`` seconds; read nothing
        of what it still sends."""
        try:
            while self._stream.read(timeout) is not None:
                pass
        except (OSError, InvalidLine):
            pass

    def _replies(self, name: str, fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Send a request, and yield the replies to it up to the last one, which has ``ok``."""
        request_id = self.send(name, **fields)
        message: dict[str, Any] = {}
        while "ok" not in message:
            message = self.receive(self._timeout)
            if message.get("id") == request_id:
                yield message

    def send(self, name: str, **fields: Any) -> int:
        """Send a request without waiting, and return its id; replies contain the same id."""
        self._last_id += 1
        present = {field: value for field, value in fields.items() if value is not None}
        try:
            self._stream.write({"id": self._last_id, "do": name} | present)
        except BrokenPipeError:
            raise NodeUnavailable("the node has ended") from None
        return self._last_id

    def receive(self, timeout: float | None = _REPLY_TIMEOUT) -> dict[str, Any]:
        """Return the next message of the node, for any request.

        Raises:
            RequestFailed: The message is an error.
            NodeUnavailable: The node exited or did not reply in time.
        """
        try:
            line = self._stream.read(timeout)
            message = parse_message(line) if line is not None else None
        except TimeoutError:
            raise NodeUnavailable("the node does not answer") from None
        except InvalidLine as error:
            raise NodeUnavailable(f"the node sent an invalid reply: {error}") from None
        except OSError:
            message = None
        if message is None:
            raise NodeUnavailable("the node has ended")
        if "error" in message:
            raise RequestFailed(str(message["error"]))
        return message
