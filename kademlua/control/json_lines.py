"""Messages on a control socket: a line of JSON each, bounded in length and time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from gevent import Timeout, socket
from gevent.lock import RLock

_CHUNK = 65_536
_LINE_TIME = 10.0
"""Seconds in which a line that was begun has to end."""
_WRITE_TIME = 120.0
"""Seconds that the other side may let us wait before it takes more."""


class BadLine(Exception):
    """What came is no message: too long, too slow, or no JSON object."""


class LineStream:
    """One connection. Any greenlet may write; one reads."""

    def __init__(self, sock: socket.socket, longest: int) -> None:
        """``longest`` is how many bytes a line that comes in may have."""
        self._sock = sock
        self._longest = longest
        self._rest = bytearray()
        self._writing = RLock()

    def read(self, patience: float | None = None) -> bytes | None:
        """The next line, without its end; None after the last.

        BadLine where it is too long or, once begun, comes too slowly; TimeoutError where none
        begins in ``patience`` seconds; another OSError where the connection breaks.
        """
        seen = 0
        until = time.monotonic() + _LINE_TIME
        while (end := self._rest.find(b"\n", seen)) < 0:
            seen = len(self._rest)
            if seen > self._longest:
                break
            if not seen:
                chunk = self._receive(patience)
                until = time.monotonic() + _LINE_TIME
            else:
                try:
                    chunk = self._receive(max(until - time.monotonic(), 0.001))
                except TimeoutError:
                    raise BadLine("the line does not end") from None
            if not chunk:
                last, self._rest = bytes(self._rest), bytearray()
                return last or None
            self._rest += chunk
        if end > self._longest or end < 0:
            raise BadLine(f"the line has over {self._longest:,} bytes")
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        return line

    def _receive(self, patience: float | None) -> bytes:
        with Timeout(patience, TimeoutError("nothing came")):
            return self._sock.recv(_CHUNK)

    def write(self, message: Mapping[str, Any]) -> None:
        """Send one message; BrokenPipeError where nobody takes it."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._writing:
            try:
                with Timeout(_WRITE_TIME, TimeoutError("nobody reads")):
                    self._sock.sendall(line)
            except BaseException as error:  # half a line may be gone: nothing can follow it
                self.close()
                if isinstance(error, OSError):
                    raise BrokenPipeError("nobody listens") from None
                raise

    def close(self) -> None:
        """End the connection; idempotent."""
        self._sock.close()


def message_of(line: bytes) -> dict[str, Any]:
    """The object that a line is; BadLine for anything else."""
    try:
        message = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadLine("the line is not JSON") from None
    if not isinstance(message, dict):
        raise BadLine("the line is no JSON object")
    return message


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
