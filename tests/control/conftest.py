"""A node with a control socket, in this process and in real time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from kademlua import Node
from kademlua.control.server import ControlServer
from kademlua.control.unix_socket import connect

TIMEOUT = 20.0


class RawClient:
    """A client that sends exactly the bytes of a test."""

    def __init__(self, path: Path) -> None:
        self.sock = connect(path)
        self.sock.settimeout(TIMEOUT)
        self._buffer = b""

    def send(self, *lines: Any) -> None:
        """Send bytes as they are, anything else as lines of JSON."""
        self.sock.sendall(
            b"".join(
                line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                for line in lines
            )
        )

    def receive(self) -> Any:
        """Return the next message, or None at the end."""
        while b"\n" not in self._buffer:
            chunk = self.sock.recv(65_536)
            if not chunk:
                assert self._buffer == b""
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def request(self, **fields: Any) -> Any:
        """Send a request, and return the next message."""
        self.send(fields)
        return self.receive()

    def receive_until(self, key: str) -> list[dict[str, Any]]:
        """Return the messages up to the first with a key, in itself or in its part."""
        found = []
        while True:
            message = self.receive()
            assert message is not None, found
            found.append(message)
            if key in message or key in message.get("part", {}):
                return found

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    """A node without peers."""
    return make_node()


@pytest.fixture
def server(node: Node, tmp_path: Path) -> Iterator[ControlServer]:
    """The control server of the node."""
    server = ControlServer(node, tmp_path / "control.sock")
    server.start()
    yield server
    server.close()
    server.close()
    gevent.sleep(0)


@pytest.fixture
def raw(server: ControlServer) -> Iterator[Callable[[], RawClient]]:
    """Connect clients, which are closed after the test."""
    clients = []

    def connected() -> RawClient:
        clients.append(RawClient(server.path))
        return clients[-1]

    yield connected
    for client in clients:
        client.close()
