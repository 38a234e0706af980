"""The control socket of a node: access check and connection limit."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from kademlua.api.operations import NodeApi
from kademlua.api.program import UNKNOWN_PROGRAM, Program
from kademlua.control.connection import ControlConnection
from kademlua.control.json_lines import JsonLineStream
from kademlua.control.unix_socket import UnixListener, peer_credentials
from kademlua.node.node import Node

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
"""Maximum concurrent clients; further clients receive an error."""
_MAX_REJECTING = 4
"""Maximum clients that receive this error concurrently."""
_LINE_OVERHEAD_BYTES = 65_536


class ControlServer:
    """Serves this user and root on a Unix socket."""

    def __init__(self, node: Node, path: Path, program: Program = UNKNOWN_PROGRAM) -> None:
        """Listen immediately; ``start`` begins to serve. ``program`` is the one of this node.

        Raises:
            ControlError: The socket cannot be created.
        """
        self._node = node
        self._node_api = NodeApi(node, program=program)
        # JSON is up to six times as long as bencoding; a line holds up to four values.
        self._max_line_bytes = 24 * node.params.max_value_bytes + _LINE_OVERHEAD_BYTES
        self._connections: dict[ControlConnection, None] = {}
        self._listener = UnixListener(path)
        self._pool = Pool(MAX_CONNECTIONS + _MAX_REJECTING)
        self._server = StreamServer(self._listener.socket, self._serve, spawn=self._pool)

    @property
    def path(self) -> Path:
        """The path of the socket."""
        return self._listener.path

    def start(self) -> None:
        """Start to serve."""
        self._server.start()

    def close(self) -> None:
        """Close all connections and remove the socket; idempotent."""
        self._server.close()
        self._pool.kill()
        self._listener.close()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt if the signal interrupted a remote shell's expression.

        Call this from a signal handler: an expression that never yields blocks the event loop.
        """
        for connection in self._connections:
            connection.interrupt()

    def _serve(self, sock: socket.socket, _address: Any) -> None:
        stream = JsonLineStream(sock, self._max_line_bytes)
        if len(self._connections) >= MAX_CONNECTIONS:
            self._reject(stream, f"{MAX_CONNECTIONS} clients are connected already")
        elif not _is_same_user(sock):
            self._reject(stream, "the node belongs to another user")
        else:
            connection = ControlConnection(stream, self._node, self._node_api)
            self._connections[connection] = None
            try:
                connection.run()
            finally:
                del self._connections[connection]

    def _reject(self, stream: JsonLineStream, reason: str) -> None:
        with suppress(BrokenPipeError):
            stream.write({"id": None, "error": reason})
        stream.close()


def _is_same_user(sock: socket.socket) -> bool:
    """Return whether the peer is this user or root; some systems ignore the socket's mode."""
    return peer_credentials(sock)[1] in (None, 0, os.geteuid())
