"""The other end of a control socket, for the command line and other programs.

>>> with ControlClient(path) as client:
...     client.do("find", key=sha1("greeting").hex())
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from kademlua.control.json_lines import InvalidLine, JsonLineStream, parse_message
from kademlua.control.unix_socket import ControlError, connect, peer_credentials
from kademlua.core.errors import KademluaError

_MAX_LINE_BYTES = 1 << 28
_REPLY_TIMEOUT = 75.0
"""Seconds for an answer: the node gives up before."""
_NO_SOCKET_HINT = "no node runs there, or one in memory, as a swarm's are"
"""Why there may be no socket."""


class RequestFailed(KademluaError):
    """The node says why it can't."""


class NodeUnavailable(ControlError):
    """The node has ended, or hangs."""


class ControlClient:
    """A connection to a running node. One request at a time: for one greenlet."""

    def __init__(self, path: Path, *, timeout: float = _REPLY_TIMEOUT) -> None:
        """``timeout`` is how many seconds to wait for an answer. ControlError where nobody
        listens at the path."""
        try:
            sock = connect(path)
        except (FileNotFoundError, NotADirectoryError):
            raise ControlError(f"{path} is missing: {_NO_SOCKET_HINT}") from None
        except ConnectionRefusedError:
            raise ControlError(f"nobody listens at {path}: {_NO_SOCKET_HINT}") from None
        except TimeoutError:
            raise ControlError(f"the node at {path} takes no connections") from None
        except OSError as error:
            raise ControlError(f"can't connect to {path}: {error.strerror}") from None
        self._stream = JsonLineStream(sock, _MAX_LINE_BYTES)
        self._last_id = 0
        self._timeout = timeout
        self.pid = peer_credentials(sock)[0]
        """The number of the node's process; 0 where the system does not say."""

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; idempotent."""
        self._stream.close()

    def call(self, name: str, **fields: Any) -> dict[str, Any]:
        """Have an operation done, and wait for what comes of it: see ``Operations``. Fields that
        are None are left out. RequestFailed where the node says no, NodeGone where it ends."""
        request_id = self.send(name, **fields)
        while True:
            message = self.receive(self._timeout)
            if message.get("id") == request_id and "ok" in message:
                result: dict[str, Any] = message["ok"]
                return result

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        """The rows that an operation gives; raises as ``call`` does."""
        request_id = self.send(name, **fields)
        while True:
            message = self.receive(self._timeout)
            if message.get("id") == request_id:
                if "ok" in message:
                    return
                yield from message["part"]["rows"]

    def send(self, name: str, **fields: Any) -> int:
        """Send a request without waiting; its number comes back with what is said to it."""
        self._last_id += 1
        present = {field: value for field, value in fields.items() if value is not None}
        try:
            self._stream.write({"id": self._last_id, "do": name} | present)
        except BrokenPipeError:
            raise NodeUnavailable("the node has ended") from None
        return self._last_id

    def receive(self, timeout: float | None = _REPLY_TIMEOUT) -> dict[str, Any]:
        """What the node says next, to whichever request; RequestFailed where that is an error,
        NodeGone where nothing comes any more."""
        try:
            line = self._stream.read(timeout)
            message = parse_message(line) if line is not None else None
        except TimeoutError:
            raise NodeUnavailable("the node does not answer") from None
        except InvalidLine as error:
            raise NodeUnavailable(f"the node says nothing sensible: {error}") from None
        except OSError:
            message = None
        if message is None:
            raise NodeUnavailable("the node has ended")
        if "error" in message:
            raise RequestFailed(str(message["error"]))
        return message
