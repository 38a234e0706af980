"""Random input to the control socket: each request gets one reply, and the node keeps running."""

import json
import logging
from contextlib import contextmanager

import gevent
import pytest
from gevent import socket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kademlua import Node, Params
from kademlua.api.operations import NodeApi
from kademlua.control.connection import ControlConnection
from kademlua.control.json_lines import JsonLineStream

PATIENCE = 20.0
LONGEST = 4_096
QUICK = Params(rpc_timeout=0.01, replicas=2, max_entries=100)

NAMES = [
    "add", "publish", "unpublish", "published", "remove", "find", "lookup", "ping", "import",
    "contacts", "stats", "node", "stored", "shell", "interrupt", "line", "nothing",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["00" * 20, "ab" * 20, "AB" * 20, "ab", ""])
CONTACT = st.fixed_dictionaries(
    {
        "id": KEYS,
        "address": st.sampled_from(["127.0.0.1", "::1", "192.0.2.1", "host"]),
        "port": st.integers(-1, 70_000),
    }
)
VALUE = st.sampled_from(["v", [1, {"a": ""}], "", {"hex": "f"}, {"items": [1]}])
HELD = st.fixed_dictionaries(
    {
        "key": KEYS | JSON,
        "owner": CONTACT | JSON,
        "value": VALUE | JSON,
        "from_owner": st.booleans() | JSON,
        "remaining_seconds": st.floats(allow_nan=False, allow_infinity=False) | JSON,
    }
)
FIELDS = {
    "id": st.integers() | st.text() | JSON,
    "do": st.sampled_from(NAMES),
    "key": KEYS | JSON,
    "value": VALUE | JSON,
    "ttl": st.floats(allow_nan=False, allow_infinity=False) | JSON,
    "overwrite": st.booleans() | JSON,
    "answers": st.integers() | JSON,
    "per_node": st.integers() | JSON,
    "values": st.lists(HELD, max_size=3) | JSON,
    "width": st.integers() | JSON,
    # No random text: the shell would execute it as Python.
    "text": st.sampled_from(["1", "node.id", "x", "(", "\ud800", "\0", "1/0", "help"]) | st.none(),
    # Packets must not leave this machine.
    "address": st.sampled_from(["127.0.0.1", "::1", "host", ""]) | st.none() | st.integers(),
    "port": st.integers(-1, 70_000) | JSON,
}
REQUESTS = st.fixed_dictionaries({}, optional=FIELDS).map(lambda each: json.dumps(each).encode())
MUTATED = st.builds(
    lambda line, at, junk: line[: at % (len(line) + 1)] + junk + line[at % (len(line) + 1) :],
    REQUESTS,
    st.integers(0, 10_000),
    st.binary(min_size=1, max_size=8),
)


@pytest.fixture(scope="module")
def node():
    with Node(params=QUICK) as node:
        yield node


@pytest.fixture(scope="module")
def logged_errors():
    """The errors that were logged."""
    found = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = found.append
    logger = logging.getLogger("kademlua")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@contextmanager
def session(node):
    """Serve a connection, and yield the client's end."""
    ours, theirs = socket.socketpair()
    session = ControlConnection(JsonLineStream(theirs, LONGEST), node, NodeApi(node))
    serving = gevent.spawn(session.run)
    ours.settimeout(PATIENCE)
    try:
        yield ours
    finally:
        ours.close()
        serving.get(timeout=PATIENCE)  # raises an exception of ``run``
        with gevent.Timeout(PATIENCE):
            # Private: ``run`` ends the remaining requests without waiting for them.
            session._workers.join()


def replies(sock):
    """Return all messages up to the end of the connection."""
    data = b""
    while chunk := sock.recv(65_536):
        data += chunk
    return [json.loads(line) for line in data.splitlines()]


def assert_node_serves(node):
    with session(node) as sock:
        sock.sendall(b'{"do":"node"}')
        sock.shutdown(socket.SHUT_WR)
        (reply,) = replies(sock)
        assert reply["ok"]["id"] == node.id.hex()


@given(st.lists(REQUESTS, max_size=6))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_each_random_request_gets_one_reply(node, logged_errors, requests):
    requests = [
        each for each in requests if len(each) <= LONGEST
    ]  # a longer line ends the connection
    with session(node) as sock:
        for request in requests:
            sock.sendall(request + b"\n")
        sock.shutdown(socket.SHUT_WR)
        received = [each for each in replies(sock) if "part" not in each]
    has_shell = any(json.loads(each).get("do") == "shell" for each in requests)
    # A shell ends with its connection, which also ends the other requests.
    assert len(received) <= len(requests)
    assert has_shell or len(received) == len(requests)
    assert all(("ok" in each) != ("error" in each) for each in received)
    assert_node_serves(node)
    assert logged_errors == []


@given(st.lists(st.binary(max_size=200) | MUTATED, max_size=6), st.binary(min_size=1, max_size=2))
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_random_bytes_get_errors_and_the_node_continues(node, logged_errors, pieces, between):
    with session(node) as sock:
        try:
            sock.sendall(between.join(pieces))
            sock.shutdown(socket.SHUT_WR)
            received = replies(sock)
        except OSError:  # the server closed the connection before all was sent
            received = []
    assert all("part" in each or ("ok" in each) != ("error" in each) for each in received)
    assert_node_serves(node)
    assert logged_errors == []
