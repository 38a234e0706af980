"""A peer that is no node: a socket of which a test plays every byte."""

import os
import time
from collections.abc import Callable

import gevent
from gevent import socket

from kademlua import Contact
from kademlua.core import protocol
from kademlua.core.contact import Endpoint
from kademlua.core.protocol import Request, Response


class RawPeer:
    """Sends and receives datagrams; ``serve`` lets it answer by itself."""

    def __init__(self, node_id: bytes | None = None, host: str = "127.0.0.1") -> None:
        self.id = node_id or os.urandom(20)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(10)
        self.contact = Contact(*self.socket.getsockname()[:2], self.id)
        self.requests: list[Request] = []
        self._server: gevent.Greenlet | None = None

    def send(self, datagram: bytes, to: Endpoint) -> None:
        self.socket.sendto(datagram, to)

    def receive(self) -> Request | Response:
        """The next packet; fails the test after 10 s."""
        return protocol.decode(self.socket.recv(65_536))

    def request(self, to: Endpoint, payload: bytes, rpc_id: bytes | None = None) -> bytes:
        """Send a request with this payload; its rpc id."""
        rpc_id = rpc_id or os.urandom(8)
        self.send(protocol.encode_request(self.id, rpc_id, payload), to)
        return rpc_id

    def ask(self, to: Endpoint, payload: bytes) -> Response:
        """Send a request and wait for its response, answering pings meanwhile."""
        rpc_id = self.request(to, payload)
        while True:
            packet = self.receive()
            if isinstance(packet, Response) and packet.rpc_id == rpc_id:
                return packet
            if isinstance(packet, Request) and packet.name == b"ping":
                self.send(protocol.encode_response(self.id, packet.rpc_id, b"li5ee"), to)

    def is_served_by(self, to: Endpoint) -> bool:
        """Whether a ping is answered there: what was sent before it has been handled."""
        return self.ask(to, protocol.encode_call(b"ping", b"", False)).payload == b"li5ee"

    def serve(self, answer: Callable[[Request], bytes | None]) -> None:
        """From now on answer each request with a payload, or not at all where it is None."""

        def run() -> None:
            while True:
                datagram, source = self.socket.recvfrom(65_536)
                packet = protocol.decode(datagram)
                if isinstance(packet, Request):
                    self.requests.append(packet)
                    payload = answer(packet)
                    if payload is not None:
                        response = protocol.encode_response(self.id, packet.rpc_id, payload)
                        self.send(response, source[:2])

        self.socket.settimeout(None)
        self._server = gevent.spawn(run)

    def close(self) -> None:
        if self._server is not None:
            self._server.kill()
        self.socket.close()


class Clock:
    """Time as it is, and the hours that a test lets pass besides."""

    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.passed


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Let others run until a condition holds; fails the test where it never does."""
    with gevent.Timeout(seconds, AssertionError("the condition never held")):
        while not condition():
            gevent.sleep(0.005)
