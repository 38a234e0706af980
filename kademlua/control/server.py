"""The control socket of a node: who may connect, and how many at once."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from kademlua.api.operations import Operations
from kademlua.control.connection import Session
from kademlua.control.json_lines import LineStream
from kademlua.control.unix_socket import Place, peer_of
from kademlua.node.node import Node

logger = logging.getLogger(__name__)

CONNECTIONS = 32
"""Clients at once; further ones are told so."""
_TURNED_AWAY = 4
"""Clients that are being told so; yet further ones wait."""
_ROOM = 65_536


class ControlServer:
    """Listens at a path in the file system for this user, and for root."""

    def __init__(self, node: Node, path: Path, operations: Operations | None = None) -> None:
        """Listens at once and answers from ``start`` on; ControlError where it can't be there."""
        self._node = node
        self._operations = operations or Operations(node)
        # A value is a third longer in base64, and up to four values stand in a line.
        self._longest = 4 * node.params.max_value_bytes + _ROOM
        self._sessions: dict[Session, None] = {}
        self._place = Place(path)
        self._serving = Pool(CONNECTIONS + _TURNED_AWAY)
        self._server = StreamServer(self._place.socket, self._serve, spawn=self._serving)

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._place.path

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()

    def close(self) -> None:
        """End all connections, and take the socket away; idempotent."""
        self._server.close()
        self._serving.kill()
        self._place.close()

    def break_off(self) -> None:
        """For a handler of ``signal.signal``: raise KeyboardInterrupt if what it came upon is a
        guest's expression. One that never yields hears nothing else."""
        for session in self._sessions:
            session.break_off()

    def _serve(self, sock: socket.socket, _address: Any) -> None:
        stream = LineStream(sock, self._longest)
        if len(self._sessions) >= CONNECTIONS:
            self._turn_away(stream, f"{CONNECTIONS} clients are here already")
        elif not _is_ours(sock):
            self._turn_away(stream, "another user's node")
        else:
            session = Session(stream, self._node, self._operations)
            self._sessions[session] = None
            try:
                session.run()
            finally:
                del self._sessions[session]

    def _turn_away(self, stream: LineStream, why: str) -> None:
        try:
            stream.write({"id": None, "error": why})
        except BrokenPipeError:
            pass
        stream.close()


def _is_ours(sock: socket.socket) -> bool:
    """Whether this user, or root, is at the other end: the file's mode says so already, where
    the system heeds it."""
    return peer_of(sock)[1] in (None, 0, os.geteuid())
