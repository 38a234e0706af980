"""HttpServer: an HTTP server in the node's hub, with limits for every client."""

from __future__ import annotations

import socket
from typing import Any

import gevent.socket
from gevent.pool import Pool
from gevent.server import StreamServer

from kademlua.core.contact import Endpoint
from kademlua.http.server.connection import Application, HttpConnection, ServerState
from kademlua.http.server.connection_limits import MAX_CONNECTIONS

_ACCEPTS_PER_TURN = 4
"""Connections accepted in one iteration of the loop."""
_BACKLOG = 1_024
"""Connections that wait in the kernel while ``MAX_CONNECTIONS`` are open."""
_ADMISSION_INTERVAL = 0.02
"""Seconds between two attempts to admit a connection that waits for space."""


class HttpServer:
    """Serves a WSGI application from the hub of the caller."""

    def __init__(
        self,
        listen: Endpoint,
        application: Application,
        max_body_bytes: int,
        streamed_paths: frozenset[bytes] = frozenset(),
    ) -> None:
        """Prepare the server.

        ``listen`` is an IP address of this machine and a port, 0 for a free one; ``max_body_bytes``
        limits the body of a request, except at ``streamed_paths``.
        """
        family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._listener = gevent.socket.socket(family, socket.SOCK_STREAM)
        self._listen = listen
        self._state = ServerState(application, max_body_bytes, streamed_paths)
        # One connection more than may be served: it waits for space, and the rest in the backlog.
        pool = Pool(MAX_CONNECTIONS + 1)
        self._server = StreamServer(self._listener, self._serve, spawn=pool)
        self._server.max_accept = _ACCEPTS_PER_TURN

    def start(self) -> None:
        """Bind and start to answer; OSError if the port is in use."""
        listener = self._listener
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(self._listen)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self._server.start()
        self._state.connections.start()

    def close(self) -> None:
        """Stop, and abort all connections; idempotent."""
        self._state.connections.close()
        self._state.work_limiter.close()
        self._server.stop(timeout=0)

    @property
    def local_endpoint(self) -> Endpoint:
        """The address and port of the server."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def counts(self) -> dict[str, int]:
        """Return the numbers of open and aborted connections and of malformed requests."""
        connections = self._state.connections
        return {
            "connections": len(connections),
            "ended_early": connections.aborted,
            "malformed": self._state.malformed,
        }

    def _serve(self, sock: Any, address: Any) -> None:
        """Serve one connection; the caller closes its socket."""
        connection = HttpConnection(sock, self._state, address[0])
        while not self._state.connections.admit(connection):
            gevent.sleep(_ADMISSION_INTERVAL)
        try:
            connection.run()
        finally:
            self._state.connections.remove(connection)
