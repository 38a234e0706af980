"""HttpServer: gevent's WSGI server in the node's hub, with limits for every client."""

from __future__ import annotations

import logging
import socket
from io import BytesIO
from typing import Any

import gevent
from gevent.pywsgi import LoggingLogAdapter, WSGIHandler, WSGIServer

from kademlua.core.contact import Endpoint
from kademlua.http.server.connection_limits import ConnectionLimiter
from kademlua.http.server.request_head import RequestHead, RequestRefused, check_request_line
from kademlua.http.server.work_limiter import WorkLimiter

logger = logging.getLogger(__name__)

_ACCEPTS_PER_TURN = 4
"""Connections accepted in one iteration of the loop."""
_MAX_LINE_BYTES = 8_192


class _Handler(WSGIHandler):
    """One connection: its requests, one after the other."""

    server: _Server

    def handle(self) -> None:
        """Answer requests until the client or the server closes the connection."""
        connections = self.server.connections
        if not connections.admit(self):
            self.socket.close()
            return
        try:
            # Head and body of a reply are sent separately, and neither should be delayed.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            super().handle()
        except OSError:  # the client has disconnected
            pass
        finally:
            connections.remove(self)

    def abort(self) -> None:
        """End the connection; pending reads and writes fail."""
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):  # the client has disconnected, or the handler has ended
            pass

    def handle_one_request(self) -> Any:
        self.server.connections.set_idle(self)
        return super().handle_one_request()

    def read_requestline(self) -> str:
        self.rfile.peek(1)  # wait for the client
        self.server.work_limiter.acquire()
        return self.rfile.readline(_MAX_LINE_BYTES).decode("latin-1")

    def read_request(self, raw_requestline: str) -> Any:
        check_request_line(raw_requestline)
        super().read_request(raw_requestline)
        self._body = self._read_body()
        self.server.connections.set_busy(self)
        return True

    def _read_body(self) -> bytes:
        """Read the whole body, while a slow client can still be disconnected."""
        head: Any = self.headers
        length = head.body_length(self.server.max_body_bytes)
        self.content_length = 0  # nothing is left to be read by gevent's server
        if length == 0:
            return b""
        if head.get("expect", "").lower() == "100-continue":
            self.socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self.rfile.read(length)
        if len(body) < length:
            raise RequestRefused("400 Bad Request")
        return body

    def MessageClass(self, fp: Any, *_: object) -> Any:  # noqa: N802
        return RequestHead.read(fp)

    def get_environ(self) -> dict[str, Any]:
        environ = super().get_environ()
        environ["wsgi.input"] = BytesIO(self._body)
        environ["kademlua.mark_streaming"] = self._mark_streaming
        return environ

    def _mark_streaming(self) -> None:
        self.server.connections.set_streaming(self)

    def _connection_upgrade_requested(self) -> bool:
        return False

    def _handle_client_error(self, ex: Exception) -> tuple[str, bytes]:
        status = ex.status if isinstance(ex, RequestRefused) else "400 Bad Request"
        self.server.malformed += 1
        head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        return status[:3], head.encode()

    def _log_error(self, t: type[BaseException], v: BaseException, tb: Any) -> None:
        if not issubclass(t, (gevent.GreenletExit, OSError)):
            logger.error("a request failed", exc_info=(t, v, tb))


class _Server(WSGIServer):
    """gevent's server, with the state that its handlers share."""

    max_accept = _ACCEPTS_PER_TURN

    def __init__(self, listener: Any, application: Any, max_body_bytes: int) -> None:
        super().__init__(
            listener,
            application,
            log=None,
            error_log=LoggingLogAdapter(logger, logging.DEBUG),
            handler_class=_Handler,
            environ={"SERVER_NAME": "localhost"},  # else it asks the resolver
        )
        self.connections = ConnectionLimiter()
        self.work_limiter = WorkLimiter()
        self.max_body_bytes = max_body_bytes
        self.malformed = 0
        """The number of malformed requests."""


class HttpServer:
    """Serves a WSGI application from the hub of the caller."""

    def __init__(self, listen: Endpoint, application: Any, max_body_bytes: int) -> None:
        """Prepare the server.

        ``listen`` is an IP address of this machine and a port, 0 for a free one; ``max_body_bytes``
        limits the body of a request.
        """
        family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._listener = gevent.socket.socket(family, socket.SOCK_STREAM)
        self._listen = listen
        self._server = _Server(self._listener, application, max_body_bytes)

    def start(self) -> None:
        """Bind and start to answer; OSError if the port is in use."""
        listener = self._listener
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self._listen)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        self._server.start()
        self._server.connections.start()

    def close(self) -> None:
        """Stop, and abort all connections; idempotent."""
        self._server.connections.close()
        self._server.work_limiter.close()
        self._server.stop(timeout=1)

    @property
    def local_endpoint(self) -> Endpoint:
        """The address and port of the server."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def counts(self) -> dict[str, int]:
        """Return the numbers of open and aborted connections and of malformed requests."""
        connections = self._server.connections
        return {
            "connections": len(connections),
            "ended_early": connections.aborted,
            "malformed": self._server.malformed,
        }
