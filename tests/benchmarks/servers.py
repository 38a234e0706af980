"""Servers to be loaded, each in a process of its own that tells its CPU: a node of Kademlua
with a table of known size, and the echo loop in C."""

from __future__ import annotations

import json
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from tests.benchmarks.packets import ASKER, CONTACTS, neighbour_ids

_HOST = "127.0.0.1"
_FILLING = 20.0
"""Seconds that a table has to fill in."""


class EchoServer:
    """The echo loop in C."""

    echoes = True

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.port = int(_out(process).readline())

    def cpu_us(self) -> float:
        """The CPU that it has used so far."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(5)
            asker.sendto(b"", (_HOST, self.port))
            return float(asker.recv(100))


class NodeServer:
    """A node of Kademlua, with neighbours in this process to fill its table."""

    echoes = False

    def __init__(self, process: subprocess.Popen[str], neighbours: Neighbours) -> None:
        self._process = process
        self.port = int(_out(process).readline())
        neighbours.introduce_themselves(self.port)
        deadline = time.monotonic() + _FILLING
        while self._ask("contacts") < CONTACTS:
            if time.monotonic() > deadline:
                raise RuntimeError("the node's table does not fill")
            neighbours.answer(0.05)

    def cpu_us(self) -> float:
        """The CPU that its process has used so far."""
        return self._ask("cpu_us")

    def _ask(self, what: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return float(json.loads(_out(self._process).readline())[what])


class Neighbours:
    """Peers that fill a node's table by answering its pings. One is the client."""

    def __init__(self, node_id: bytes, rng: random.Random) -> None:
        self._sockets = {_bound_socket(): own_id for own_id in neighbour_ids(node_id, rng)}
        self.client, self.client_id = list(self._sockets.items())[ASKER]

    def introduce_themselves(self, port: int) -> None:
        """Each sends the node a request, so that the node looks who that is."""
        payload = packets.encode_request_payload(b"ping", b"", read_only=False)
        for sock, own_id in self._sockets.items():
            sock.sendto(packets.encode_request(own_id, bytes(8), payload), (_HOST, port))

    def answer(self, seconds: float) -> None:
        """For so long, answer the pings that come."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for sock in select.select(list(self._sockets), [], [], left)[0]:
                datagram, source = sock.recvfrom(65_536)
                packet = packets.decode(datagram)
                if isinstance(packet, Request) and packet.name == b"ping":
                    own_id = self._sockets[sock]
                    pong = packets.encode_response(own_id, packet.rpc_id, replies.PONG)
                    sock.sendto(pong, source)

    def close(self) -> None:
        """Close their sockets."""
        for sock in self._sockets:
            sock.close()


@contextmanager
def echo_server(program: Path) -> Iterator[EchoServer]:
    """The echo loop, running."""
    with _running([str(program)]) as process:
        yield EchoServer(process)


@contextmanager
def node_server(node_id: bytes, neighbours: Neighbours) -> Iterator[NodeServer]:
    """A node of that id, running, whose table holds all neighbours."""
    module = f"{__package__}.serving"
    with _running([sys.executable, "-m", module, node_id.hex()]) as process:
        yield NodeServer(process, neighbours)


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def _bound_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((_HOST, 0))
    return sock
