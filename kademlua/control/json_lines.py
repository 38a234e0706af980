"""Messages on a control socket: lines of JSON, limited in length and time."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from gevent import Timeout, socket
from gevent.lock import RLock

_CHUNK_BYTES = 65_536
_LINE_TIMEOUT = 10.0
"""Seconds from the first byte of a line to its end."""
_WRITE_TIMEOUT = 120.0
"""Seconds to wait for the peer to read."""


class InvalidLine(Exception):
    """A line is too long, incomplete for too long, or not a JSON object."""


class JsonLineStream:
    """One connection. Any greenlet may write; one reads."""

    def __init__(self, sock: socket.socket, max_line_bytes: int) -> None:
        """Wrap a socket; ``max_line_bytes`` limits each received line."""
        self._sock = sock
        self._max_line_bytes = max_line_bytes
        self._buffer = bytearray()
        self._write_lock = RLock()

    def read(self, timeout: float | None = None) -> bytes | None:
        """Return the next line without its newline, or None after the last.

        Raises:
            InvalidLine: The line is too long, or did not end in time.
            TimeoutError: No line started within ``timeout`` seconds.
            OSError: The connection failed.
        """
        scanned = 0
        deadline = time.monotonic() + _LINE_TIMEOUT
        while (end := self._buffer.find(b"\n", scanned)) < 0:
            scanned = len(self._buffer)
            if scanned > self._max_line_bytes:
                break
            if not scanned:
                chunk = self._receive(timeout)
                deadline = time.monotonic() + _LINE_TIMEOUT
            else:
                try:
                    chunk = self._receive(max(deadline - time.monotonic(), 0.001))
                except TimeoutError:
                    raise InvalidLine("the line does not end") from None
            if not chunk:
                last, self._buffer = bytes(self._buffer), bytearray()
                return last or None
            self._buffer += chunk
        if end > self._max_line_bytes or end < 0:
            raise InvalidLine(f"the line has over {self._max_line_bytes:,} bytes")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _receive(self, timeout: float | None) -> bytes:
        with Timeout(timeout, TimeoutError("nothing came")):
            return self._sock.recv(_CHUNK_BYTES)

    def write(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            BrokenPipeError: The peer is gone or does not read.
        """
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._write_lock:
            try:
                with Timeout(_WRITE_TIMEOUT, TimeoutError("the peer does not read")):
                    self._sock.sendall(line)
            except BaseException as error:  # a partial line may have been sent
                self.close()
                if isinstance(error, OSError):
                    raise BrokenPipeError("the peer has disconnected") from None
                raise

    def close(self) -> None:
        """Close the connection; idempotent."""
        self._sock.close()


def parse_message(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        InvalidLine: The line is not a JSON object.
    """
    try:
        message = json.loads(line, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise InvalidLine("the line is not JSON") from None
    if not isinstance(message, dict):
        raise InvalidLine("the line is not a JSON object")
    return message


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
