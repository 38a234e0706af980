"""Watches that begin too early, outlive an outage, or whose holders do not keep their word."""

from __future__ import annotations

from collections import Counter

import gevent
import pytest

from kademlua import Node, Params, sha1
from kademlua.core.watch.snapshot import digest
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from kademlua.core.wire.watch_messages import (
    KeyState,
    encode_changed_args,
    encode_state,
    encode_watch_reply,
)
from kademlua.node.watch_iterators import Watch
from kademlua.simulation.clock.loop import virtual_now
from tests.support.world import World

KEY = sha1("config")
PARAMS = Params(replicas=3)


def drain(watch: Watch, seconds: float) -> list[tuple[str, object]]:
    """The kinds and values of all changes until there is none for some seconds."""
    found = []
    while (change := watch.next(seconds)) is not None:
        found.append((change.kind.value, change.value))
    return found


@pytest.mark.parametrize("read_only", [False, True])
def test_watch_that_begins_before_the_node_has_joined_takes_leases_soon(
    world: World, *, read_only: bool
) -> None:
    nodes = world.network(30, params=PARAMS)
    reader = world.node(nodes[0], params=PARAMS, read_only=read_only)
    with reader.watch(KEY) as watch:
        gevent.sleep(10)
        nodes[9].add(KEY, b"news")
        assert drain(watch, 1) == [("added", b"news")]


def test_watch_moves_when_a_network_grows_from_the_watching_node(world: World) -> None:
    first = world.node(params=PARAMS, id=bytes(byte ^ 255 for byte in KEY))  # the farthest one
    with first.watch(KEY) as watch:
        gevent.sleep(5)
        others = [world.node(first, params=PARAMS) for _ in range(20)]
        gevent.sleep(130)
        others[7].add(KEY, b"news")
        assert drain(watch, 1) == [("added", b"news")]


def test_change_during_an_outage_is_seen_soon_after_it(world: World) -> None:
    nodes = world.network(30, params=PARAMS)
    reader = nodes[20]
    with reader.watch(KEY) as watch:
        assert drain(watch, 2) == []
        world.net.pause(reader.contact.endpoint)
        gevent.sleep(600)
        nodes[3].add(KEY, b"news")
        world.net.resume(reader.contact.endpoint)
        assert drain(watch, 30) == [("added", b"news")]


def test_change_while_the_machine_slept_is_seen_soon_after_it(world: World) -> None:
    slept = 0.0
    nodes = world.network(10, params=PARAMS)
    reader = world.node(nodes[0], clock=lambda: virtual_now() + slept, read_only=True)
    reader.wait_joined(30)
    with reader.watch(KEY) as watch:
        assert drain(watch, 2) == []
        world.net.pause(reader.contact.endpoint)
        nodes[3].add(KEY, b"news")
        gevent.sleep(5)
        world.net.resume(reader.contact.endpoint)
        slept = 600.0
        assert drain(watch, 15) == [("added", b"news")]


class FickleHolder:
    """The closest holder, which grants each lease and ends it at once."""

    def __init__(self, world: World, reader: Node) -> None:
        self._reader = reader
        self._peer = world.peer(KEY)
        self._peer.serve(self._reply)
        self.watches = 0
        reader.ping(self._peer.contact)

    def _reply(self, request: Request) -> bytes | None:
        if request.name == b"ping":
            return replies.PONG
        if request.name == b"findnode":
            return replies.encode_findnode_reply([], 1)
        if request.name != b"watch":
            return None
        self.watches += 1
        is_granted = self.watches % 2 == 1
        if is_granted:
            gevent.spawn_later(0.01, self._have_it_read_again, request.args[4])
        return encode_watch_reply(KeyState(digest([]), [], 300 * is_granted), 0.0, 1_000)

    def _have_it_read_again(self, secret: bytes) -> None:
        state = encode_state(KeyState(b"12345678", None), 0.0, 0)
        payload = encode_changed_args(KEY, secret, state)
        request = packets.encode_request_payload(b"changed", payload, read_only=False)
        self._peer.request(self._reader.contact.endpoint, request)


def test_holder_that_ends_its_leases_causes_few_lookups(world: World) -> None:
    nodes = world.network(30, params=PARAMS)
    reader = nodes[20]
    holder = FickleHolder(world, reader)
    calls = Counter(reader.stats()["calls_by_purpose"])
    with reader.watch(KEY) as watch:
        gevent.sleep(60)
        assert 4 <= holder.watches <= 26
        sent = Counter(reader.stats()["calls_by_purpose"]) - calls
        assert sent["watch"] < 60 * 5
        nodes[3].add(KEY, b"news")
        assert drain(watch, 2) == [("added", b"news")]


def test_watch_that_a_program_drops_ends(world: World) -> None:
    nodes = world.network(10, params=PARAMS)
    nodes[3].add(KEY, b"v")
    for _ in nodes[0].watch(KEY):
        break
    gevent.sleep(130)
    assert sum(node.services.lease_holder.lease_count for node in nodes) == 0


def test_consumers_that_come_and_go_cost_no_packets(world: World) -> None:
    nodes = world.network(10, params=PARAMS)
    with nodes[0].watch(KEY):
        gevent.sleep(5)
        before = sum(node.stats()["requests_by_rpc"].get("watch", 0) for node in nodes)
        for _ in range(20):
            nodes[0].watch(KEY).close()
            gevent.sleep(0.2)
        after = sum(node.stats()["requests_by_rpc"].get("watch", 0) for node in nodes)
    assert after == before
