"""Fixtures that serve nodes over HTTP on loopback sockets."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

from kademlua import Node
from kademlua.http.service import HttpService
from kademlua.swarm.control_node import control_node
from kademlua.swarm.launcher import Swarm
from kademlua.swarm.plan import Plan
from tests.swarm.conftest import free_ports

TOKEN = "a-token-of-the-tests"


@dataclass(frozen=True)
class Reply:
    """The reply to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class HttpClient:
    """A client of one server. Each request has its own connection."""

    def __init__(self, service: HttpService) -> None:
        self.service = service
        self.port = service.local_endpoint[1]

    def connect(self) -> gevent.socket.socket:
        """Return a connection for raw bytes."""
        return gevent.socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = None,
        **headers: str,
    ) -> Reply:
        """Send a request; ``_`` in the name of a header stands for a hyphen."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.sock = self.connect()
        try:
            connection.request(method, path, body, given)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: bytes, kind: str = "text/plain") -> Reply:
        return self.request("POST", path, body, token=TOKEN, Content_Type=kind)

    def raw(self, request: bytes) -> bytes:
        """Send bytes, and return all bytes until the server closes the connection."""
        with self.connect() as sock:
            sock.sendall(request)
            return b"".join(iter(lambda: sock.recv(65_536), b""))


@pytest.fixture
def serve() -> Iterator[Callable[..., HttpClient]]:
    """Serve nodes over HTTP until the end of the test."""
    services = []

    def make(node: Node, host: str = "127.0.0.1", **settings: Any) -> HttpClient:
        service = HttpService(node, (host, 0), TOKEN, **settings)
        services.append(service)
        service.start()
        return HttpClient(service)

    yield make
    for service in services:
        service.close()


ShowSwarm = Callable[[int], AbstractContextManager[HttpClient]]


@pytest.fixture
def show_swarm(tmp_path: Path) -> ShowSwarm:
    """Start a swarm in two workers, and serve its control node; they are ``client.swarm``
    and ``client.node``."""

    @contextmanager
    def show(count: int) -> Iterator[HttpClient]:
        first = free_ports(count + 2)
        plan = Plan(
            node_count=count, worker_count=2, first_port=first + 2, bootstrap=("127.0.0.1", first)
        )
        with ExitStack() as exit_stack:
            node = exit_stack.enter_context(control_node(plan, tmp_path))
            swarm = Swarm(plan, tmp_path)
            swarm.event_hub.set_control_node(node)
            service = HttpService(node, ("127.0.0.1", 0), TOKEN, event_hub=swarm.event_hub)
            service.start()
            exit_stack.callback(service.close)
            exit_stack.enter_context(swarm)
            assert swarm.wait_joined(timeout=30)
            client = HttpClient(service)
            client.node, client.swarm = node, swarm  # type: ignore[attr-defined]
            yield client

    return show


@pytest.fixture
def client(make_network: Callable[..., list[Node]], serve: Callable[..., HttpClient]) -> HttpClient:
    """Serve one of three nodes; ``client.node`` is the node, and ``client.nodes`` are all."""
    nodes = make_network(3)
    made = serve(nodes[1])
    made.nodes = nodes  # type: ignore[attr-defined]
    made.node = nodes[1]  # type: ignore[attr-defined]
    return made
