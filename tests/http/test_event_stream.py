"""The stream of events of a node."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import gevent
import pytest

from kademlua import sha1
from kademlua.http import event_stream
from kademlua.http.event_stream import MAX_STREAMS
from kademlua.http.server import connection
from tests.http.conftest import HttpClient
from tests.swarm.conftest import eventually

_EVENT = re.compile(rb"event: (\S+)\ndata: (.*)\n\n")


class Stream:
    """The events received on a connection so far."""

    def __init__(self, sock: gevent.socket.socket) -> None:
        self._sock = sock
        self.text = b""

    def events(self, name: str) -> list[dict[str, Any]]:
        return [
            json.loads(data) for kind, data in _EVENT.findall(self.text) if kind.decode() == name
        ]

    def until(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a name as soon as there is one."""
        with gevent.Timeout(10, AssertionError(f"no {name} in {self.text!r}")):
            while not self.events(name):
                self.read()
        return self.events(name)

    def read(self) -> bytes:
        data = self._sock.recv(65_536)
        # Remove the lengths of the chunks.
        self.text += re.sub(rb"(?:\A|\r\n)[0-9a-f]+\r\n|\r\n\Z", b"", data)
        return data


@contextmanager
def open_stream(client: HttpClient, query: str = "", path: str = "/v1/events") -> Iterator[Stream]:
    with client.connect() as sock:
        sock.sendall(f"GET {path}{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        stream = Stream(sock)
        head = sock.recv(65_536)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"content-type: text/event-stream\r\n" in head
        stream.text = head
        with gevent.Timeout(10):
            while b"retry: " not in stream.text:
                stream.read()
        yield stream


def test_lookup_is_reported_query_by_query(client):
    with open_stream(client, "?kinds=lookup") as stream:
        found = client.node.find_node(sha1("somewhere"))
        stream.until("lookup-ended")
    (began,) = stream.events("lookup-began")
    (seeded,) = stream.events("lookup-seeded")
    assert set(seeded["contacts"]) == {each.id.hex() for each in client.node.table}
    assert began["target"] == sha1("somewhere").hex()
    assert (began["rpc"], began["cause"]) == ("findnode", "find_node")
    for name in ("lookup-queried", "lookup-answered"):
        events = stream.events(name)
        assert {each["lookup"] for each in events} == {began["lookup"]}
        assert {each["contact"]["id"] for each in events} == {each.id.hex() for each in found}
    assert not stream.events("stats")


def test_values_contacts_and_counters_are_reported(client, make_node):
    with open_stream(client) as stream:
        added = client.node.add(sha1("key"), b"value")
        assert client.node.contact in added.acknowledged
        (stored,) = stream.until("value-stored")
        newcomer = make_node(bootstrap=[client.node.contact.endpoint])
        assert newcomer.wait_joined(10)
        (entered,) = stream.until("contact-entered")
        counters = stream.until("stats")[0]
    assert stored["key"] == sha1("key").hex()
    assert stored["owner"]["id"] == client.node.id.hex()
    assert stored["bytes"] == 7
    assert entered["id"] == newcomer.id.hex()
    assert counters["joined"] is True
    assert counters["skipped"] == 0


def test_lookups_over_the_limit_are_counted_as_skipped(client):
    with open_stream(client, "?kinds=lookup,stats&lookups=2") as stream:
        for number in range(20):
            client.node.find_node(sha1(f"key {number}"))
        with gevent.Timeout(10):
            while not any(each["skipped"] for each in stream.events("stats")):
                stream.read()
    assert 2 <= len(stream.events("lookup-began")) <= 4
    skipped = stream.events("stats")[-1]["skipped"]
    assert skipped + len(stream.events("lookup-began")) >= 20


def test_observer_is_removed_when_the_client_disconnects(client):
    observers = client.node.services.context.observers
    before = len(observers.registered)
    with open_stream(client):
        assert len(observers.registered) == before + 1
    with gevent.Timeout(10):
        while len(observers.registered) > before:
            client.node.find_node(sha1("x"))
            gevent.sleep(0.05)


def test_number_of_streams_is_limited(client):
    with ExitStack() as stack:
        for _ in range(MAX_STREAMS):
            stack.enter_context(open_stream(client))
        assert client.get("/v1/events").status == 503
        assert client.get("/healthz").status == 200


def test_stream_that_is_not_read_ends(client, monkeypatch):
    monkeypatch.setattr(connection, "STREAM_PART_TIMEOUT", 0.2)
    monkeypatch.setattr(event_stream, "_POLLS_PER_KEEPALIVE", 1)
    monkeypatch.setattr(event_stream, "_KEEPALIVE", b":" + b" " * 1_000_000 + b"\n\n")
    observers = client.node.services.context.observers

    def is_streaming() -> bool:
        return any(type(each).__module__ == event_stream.__name__ for each in observers.registered)

    with open_stream(client, "?kinds=contact"):
        assert eventually(is_streaming)
        assert eventually(lambda: not is_streaming())


@pytest.mark.parametrize("query", ["kinds=nothing", "lookups=0", "lookups=x"])
def test_invalid_parameters_are_400(client, query):
    assert client.get(f"/v1/events?{query}").status == 400


def test_head_request_returns_no_stream(client):
    assert client.request("HEAD", "/v1/events").headers["content-type"] == "text/event-stream"


def test_stream_ends_when_the_node_closes(client):
    with open_stream(client) as stream:
        client.node.close()
        with gevent.Timeout(10):
            while not stream.read().endswith(b"0\r\n\r\n"):
                pass


def test_changes_of_a_key_are_streamed(client: HttpClient) -> None:
    node = client.node
    node.add(sha1("watched"), b"one")
    with open_stream(client, path="/v1/watch/watched") as stream:
        [added] = stream.until("added")
        assert (added["kind"], added["value"]) == ("added", "one")
        node.add(sha1("watched"), b"two")
        assert stream.until("replaced")[0]["value"] == "two"
        node.remove(sha1("watched"))
        assert stream.until("removed")[0]["value"] == "two"
