"""The control socket of a node: who may connect, and how many at once."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from kademlua.api.operations import NodeApi
from kademlua.control.connection import ControlConnection
from kademlua.control.json_lines import JsonLineStream
from kademlua.control.unix_socket import UnixListener, peer_credentials
from kademlua.node.node import Node

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
"""Clients at once; further ones are told so."""
_MAX_REJECTING = 4
"""Clients that are being told so; yet further ones wait."""
_LINE_OVERHEAD_BYTES = 65_536


class ControlServer:
    """Listens at a path in the file system for this user, and for root."""

    def __init__(self, node: Node, path: Path, node_api: NodeApi | None = None) -> None:
        """Listens at once and answers from ``start`` on; ControlError where it can't be there."""
        self._node = node
        self._node_api = node_api or NodeApi(node)
        # JSON is up to six times as long as bencoding; a line holds up to four values.
        self._max_line_bytes = 24 * node.params.max_value_bytes + _LINE_OVERHEAD_BYTES
        self._connections: dict[ControlConnection, None] = {}
        self._listener = UnixListener(path)
        self._pool = Pool(MAX_CONNECTIONS + _MAX_REJECTING)
        self._server = StreamServer(self._listener.socket, self._serve, spawn=self._pool)

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._listener.path

    @property
    def client_count(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def close(self) -> None:
        """End all connections, and take the socket away; idempotent."""
        self._server.close()
        self._pool.kill()
        self._listener.close()

    def interrupt(self) -> None:
        """For a handler of ``signal.signal``: raise KeyboardInterrupt if what it came upon is a
        guest's expression. One that never yields hears nothing else."""
        for connection in self._connections:
            connection.interrupt()

    def _serve(self, sock: socket.socket, _address: Any) -> None:
        stream = JsonLineStream(sock, self._max_line_bytes)
        if len(self._connections) >= MAX_CONNECTIONS:
            self._reject(stream, f"{MAX_CONNECTIONS} clients are here already")
        elif not _is_same_user(sock):
            self._reject(stream, "another user's node")
        else:
            connection = ControlConnection(stream, self._node, self._node_api)
            self._connections[connection] = None
            try:
                connection.run()
            finally:
                del self._connections[connection]

    def _reject(self, stream: JsonLineStream, reason: str) -> None:
        try:
            stream.write({"id": None, "error": reason})
        except BrokenPipeError:
            pass
        stream.close()


def _is_same_user(sock: socket.socket) -> bool:
    """Whether this user, or root, is at the other end: the file's mode says so already, where
    the system heeds it."""
    return peer_credentials(sock)[1] in (None, 0, os.geteuid())
