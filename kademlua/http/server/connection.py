"""HttpConnection: the requests of one client, parsed by h11 and answered by a WSGI application."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent.socket
import h11

from kademlua.http.server.connection_limits import ConnectionLimiter
from kademlua.http.server.work_limiter import WorkLimiter

logger = logging.getLogger(__name__)

MAX_TARGET_BYTES = 8_192
MAX_HEAD_BYTES = 16_384
"""Bytes of all header fields together."""
MAX_FIELDS = 64
_RECEIVE_BYTES = 16_384
STREAM_PART_TIMEOUT = 20.0
"""Seconds until a client of a stream must have made room for the next part, or sent it."""
_STREAM_SEND_BUFFER = 16_384
"""Bytes of an endless stream that wait in the kernel, as requested: Linux doubles it. Events should
not be old when a slow client reads them."""
_MAX_DISCARDED_READS = 64
"""Reads that discard the rest of a refused request."""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""A WSGI application that does not use the ``write`` callable (PEP 3333)."""


@dataclass(slots=True)
class ServerState:
    """What the connections of one server share."""

    application: Application
    max_body_bytes: int
    streamed_paths: frozenset[bytes] = frozenset()
    """Paths of requests whose bodies have any size: the application reads them in parts."""
    connections: ConnectionLimiter = field(default_factory=ConnectionLimiter)
    work_limiter: WorkLimiter = field(default_factory=WorkLimiter)
    malformed: int = 0
    """The number of malformed requests."""


class HttpConnection:
    """One connection. Requests are answered one after the other."""

    def __init__(self, sock: gevent.socket.socket, state: ServerState, client_address: str) -> None:
        self._sock = sock
        self._state = state
        self._client_address = client_address
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.is_receiving = False
        """True while the connection waits for bytes of its client."""

    def run(self) -> None:
        """Answer requests until the client or the server ends the connection; raises nothing."""
        try:
            # Parts of a stream must not be delayed.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._answer_requests()
        except h11.RemoteProtocolError as error:
            self._state.malformed += 1
            self._refuse(error.error_status_hint)
        except OSError:  # the client disconnected, or the connection was aborted
            pass
        except Exception:
            logger.exception("a request failed")

    def abort(self) -> None:
        """End the connection; pending reads and writes fail."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:  # the client has disconnected
            pass

    def _answer_requests(self) -> None:
        while (request := self._next_event()) and isinstance(request, h11.Request):
            self._check(request)
            is_streamed = self._is_streamed(request)
            body = RequestBody(self) if is_streamed else BytesIO(self._read_body())
            environ = _make_environ(request, body, self._client_address)
            self._state.connections.set_busy(self)
            self._send_reply(environ)
            if self._http.our_state is not h11.DONE:
                return
            if not self._is_body_read():  # the application refused it
                self._discard()
                return
            self._state.connections.set_idle(self)
            self._http.start_next_cycle()
            if self._http.trailing_data[0]:  # the next request is here already
                self._state.work_limiter.acquire()

    def _next_event(self) -> Any:
        """Return the next part of a request, or ``h11.ConnectionClosed`` after the last request.

        Raises:
            h11.RemoteProtocolError: The client sends no valid HTTP, or too long a head.
        """
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._receive())
        return event

    def _receive(self) -> bytes:
        """Return bytes of the client when this connection may work; none at the end."""
        self.is_receiving = True
        data = self._sock.recv(_RECEIVE_BYTES)
        self.is_receiving = False
        self._state.work_limiter.acquire()
        return data

    def _check(self, request: h11.Request) -> None:
        """Raise RemoteProtocolError if a request exceeds a limit."""
        fields = dict(request.headers)
        head_bytes = sum(len(name) + len(value) for name, value in request.headers)
        status = 0
        if request.http_version not in (b"1.0", b"1.1"):
            status = 505
        elif len(request.target) > MAX_TARGET_BYTES:
            status = 414
        elif len(request.headers) > MAX_FIELDS or head_bytes > MAX_HEAD_BYTES:
            status = 431
        elif b"transfer-encoding" in fields:  # many small chunks would block the event loop
            status = 411
        elif int(
            fields.get(b"content-length", 0)
        ) > self._state.max_body_bytes and not self._is_streamed(request):
            status = 413
        if status:
            raise h11.RemoteProtocolError("limit exceeded", error_status_hint=status)

    def _is_streamed(self, request: h11.Request) -> bool:
        """Return whether the application reads the body in parts."""
        return request.target.partition(b"?")[0] in self._state.streamed_paths

    def _is_body_read(self) -> bool:
        """Return whether the application read the body to its end."""
        return self._http.their_state is h11.DONE or isinstance(
            self._http.next_event(), h11.EndOfMessage
        )

    def _read_body(self) -> bytes:
        """Read the whole body, while a slow client can still be disconnected."""
        body = b""
        while part := self.read_part():
            body += part
        return body

    def read_part(self) -> bytes:
        """Return the next part of the body; none at its end."""
        if self._http.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, reason=b"Continue", headers=[]))
        event = self._next_event()
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionAbortedError("the client disconnected within the body")
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def begin_stream(self) -> None:
        """Replace the time limit of the whole request by one of each part."""
        self._state.connections.set_streaming(self)
        # A client that neither reads nor sends would occupy a stream until the node ends.
        self._sock.settimeout(STREAM_PART_TIMEOUT)

    def _send_reply(self, environ: dict[str, Any]) -> None:
        head: list[Any] = []
        chunks = self._state.application(environ, lambda *args: head.extend(args[:2]))
        try:
            status, fields = head
            fields = [*fields, ("Date", formatdate(usegmt=True))]
            if self._state.connections.is_full:  # make space for the clients that wait
                fields.append(("Connection", "close"))
            if not hasattr(chunks, "__len__"):
                self.begin_stream()
                if not any(name.lower() == "content-length" for name, _ in fields):  # endless
                    self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_SEND_BUFFER)
            response = h11.Response(status_code=int(status[:3]), reason=status[4:], headers=fields)
            unsent: tuple[h11.Event, ...] = (response,)
            for chunk in chunks:
                self._send(*unsent, h11.Data(data=chunk))
                unsent = ()
            self._send(*unsent, h11.EndOfMessage())
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _refuse(self, status: int) -> None:
        try:
            self._send(
                h11.Response(
                    status_code=status,
                    reason=HTTPStatus(status).phrase,
                    headers=[("Connection", "close"), ("Content-Length", "0")],
                ),
                h11.EndOfMessage(),
            )
            self._discard()
        except (OSError, h11.LocalProtocolError):  # it may be too late for a reply
            pass

    def _discard(self) -> None:
        """Discard what the client still sends.

        Closing a socket with unread data would discard the reply at the client.
        """
        self._sock.shutdown(socket.SHUT_WR)
        for _ in range(_MAX_DISCARDED_READS):
            if not self._receive():
                break

    def _send(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(each) or b"" for each in events)
        if data:
            self._sock.sendall(data)


class RequestBody:
    """The body of a request, read from the connection as the application wants it."""

    def __init__(self, connection: HttpConnection) -> None:
        self._connection = connection
        self._unread = bytearray()
        self._is_begun = False

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer only at the end of the body.

        Raises:
            OSError: the client disconnected, or has sent nothing for a while.
        """
        if not self._is_begun:
            self._is_begun = True
            self._connection.begin_stream()
        try:
            while len(self._unread) < size and (part := self._connection.read_part()):
                self._unread += part
        except h11.RemoteProtocolError as error:
            raise ConnectionAbortedError(str(error)) from error
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data


def _make_environ(
    request: h11.Request, body: BytesIO | RequestBody, client_address: str
) -> dict[str, Any]:
    """Return the WSGI environment of a request (PEP 3333)."""
    path, _, query = request.target.partition(b"?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method.decode(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query.decode(),
        "REMOTE_ADDR": client_address,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": f"HTTP/{request.http_version.decode()}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in request.headers:
        if b"_" in raw_name:  # else X_Y and X-Y would be the same
            continue
        name, value = raw_name.decode().upper().replace("-", "_"), raw_value.decode("latin-1")
        name = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    return environ
