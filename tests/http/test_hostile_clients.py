"""Slow, broken and hostile clients do not disturb the node, its peers and other clients."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import gevent.os
import pytest

from kademlua import sha1
from kademlua.http.server.connection_limits import MAX_CONNECTIONS
from tests.http.hostile import KINDS
from tests.support.programs import ROOT

PINGS = 200


@contextmanager
def attacked(port: int, kind: str, count: int) -> Iterator[None]:
    """Attack a port from a separate process."""
    command = [sys.executable, "-m", "tests.http.hostile", str(port), kind, str(count)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            assert gevent.os.tp_read(process.stdout.fileno(), 100) == b"started\n"
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_hostile_clients_do_not_disturb_peers_and_other_clients(make_network, serve, kind):
    peer, node, _ = make_network(3)
    client = serve(node)
    node.add(sha1("key"), b"value")
    with attacked(client.port, kind, 1_000 if kind in ("half_open", "refused") else 50):
        for number in range(PINGS):
            peer.ping(node.contact)
            if number % 20 == 0:
                assert client.get("/v1/values/key?answers=1").status == 200
            gevent.sleep(0.002)
        assert client.service.counts()["connections"] <= MAX_CONNECTIONS
    assert peer.stats()["timeouts"] == 0
    assert node.stats()["timeouts"] == 0


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("nonsense", "", 400),
        ("GET  / HTTP/1.1", "", 400),
        ("GET / HTTP/2.0", "", 505),
        ("GET /" + "x" * 9_000 + " HTTP/1.1", "", 414),
        ("GET /" + "x" * 40_000 + " HTTP/1.1", "", 431),
        ("GET / HTTP/1.1", "X: " + "x" * 16_400 + "\r\n", 431),
        ("GET / HTTP/1.1", "X: " + "x" * 40_000 + "\r\n", 431),
        ("GET / HTTP/1.1", "".join(f"X{number}: x\r\n" for number in range(64)), 431),
        ("GET / HTTP/1.1", "Host: other\r\n", 400),
        ("GET / HTTP/1.1", "Space : before\r\n", 400),
        ("GET / HTTP/1.1", "X: nul\0\r\n", 400),
        ("POST /v1/values/k HTTP/1.1", "Content-Length: 999999\r\n", 413),
        ("POST /v1/values/k HTTP/1.1", "Content-Length: x\r\n", 400),
        ("POST /v1/values/k HTTP/1.1", "Content-Length: -1\r\n", 400),
        ("POST /v1/values/k HTTP/1.1", "Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("POST /v1/values/k HTTP/1.1", "Transfer-Encoding: chunked\r\n", 411),
    ],
)
def test_invalid_request_is_refused_with_its_status(client, line, fields, status):
    reply = client.raw(f"{line}\r\nHost: localhost\r\n{fields}\r\n".encode())
    assert reply.startswith(b"HTTP/1.1 %d " % status)
    assert client.service.counts()["malformed"] == 1


def test_client_that_disconnects_early_is_not_logged_as_an_error(client, caplog, capfd):
    for request in (
        b"",
        b"GE",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
    ):
        with client.connect() as sock:
            sock.sendall(request)
    with client.connect() as sock:
        sock.sendall(b"GET /v1/contacts HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    with gevent.Timeout(10):
        while client.service.counts()["connections"]:
            gevent.sleep(0.01)
    assert client.get("/healthz").status == 200
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_clients_beyond_the_limit_wait_and_all_are_answered(client):
    def get_repeatedly() -> list[int]:
        return [client.get("/healthz").status for _ in range(5)]

    clients = [gevent.spawn(get_repeatedly) for _ in range(2 * MAX_CONNECTIONS)]
    gevent.joinall(clients, raise_error=True)
    assert all(each.value == [200] * 5 for each in clients)
    assert client.service.counts()["ended_early"] == 0


def test_pipelined_requests_are_answered_in_order(client):
    paths = ("/healthz", "/v1/nowhere", "/readyz")
    requests = [f"GET {path} HTTP/1.1\r\nHost: localhost\r\n" for path in paths]
    raw = "\r\n".join(requests) + "Connection: close\r\n\r\n"
    answers = client.raw(raw.encode())
    assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404", b"200"]


def test_client_that_expects_100_continue_gets_it(client):
    with client.connect() as sock:
        head = "Host: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        sock.sendall(f"POST /v1/values/key HTTP/1.1\r\n{head}".encode())
        assert sock.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"x")
        assert sock.recv(1_000).startswith(b"HTTP/1.1 401 ")
