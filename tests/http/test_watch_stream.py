"""The stream of changes of a key."""

from __future__ import annotations

import gevent

from kademlua import sha1
from kademlua.http.event_stream import watch_frames
from tests.http.conftest import HttpClient
from tests.support.world import World

KEY = sha1("config")


def test_stream_shows_existing_values_and_changes(client: HttpClient) -> None:
    client.node.add(KEY, b"one")
    with client.connect() as sock:
        sock.sendall(b"GET /v1/watch/config HTTP/1.1\r\nHost: localhost\r\n\r\n")
        text = b""
        with gevent.Timeout(10):
            while b"event: added\n" not in text:
                text += sock.recv(65_536)
        client.node.add(KEY, b"two")
        with gevent.Timeout(10):
            while b"event: replaced\n" not in text:
                text += sock.recv(65_536)
    assert b"content-type: text/event-stream" in text


def test_key_in_hex_has_40_digits(client: HttpClient) -> None:
    assert client.get("/v1/watch/abcd?hex=true").status == 404


def test_reader_that_was_slow_gets_the_changes_in_parts(world: World) -> None:
    nodes = world.network(3)
    frames = watch_frames(nodes[0], KEY)
    assert next(frames) == b""
    gevent.sleep(1)
    for number in range(200):
        nodes[1].add(KEY, bytes([number]) * 14_000)
        gevent.sleep(0.2)
    parts = [next(frames) for _ in range(40)]
    frames.close()
    assert b"".join(parts).count(b"event: ") == 200
    assert max(len(part) for part in parts) < 500_000


def test_stream_that_ends_ends_its_watch(world: World) -> None:
    nodes = world.network(5)
    frames = watch_frames(nodes[0], KEY)
    next(frames)
    gevent.sleep(2)
    assert any(node.services.lease_holder.lease_count for node in nodes)
    frames.close()
    gevent.sleep(2)
    assert not any(node.services.lease_holder.lease_count for node in nodes)
