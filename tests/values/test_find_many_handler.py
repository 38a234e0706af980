"""findmany: the values of several keys in one reply."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import Node, Params, sha1
from kademlua.core.wire import find_many, packets, requests
from kademlua.core.wire.packets import Response
from kademlua.core.wire.requests import StoreArguments
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEYS = [sha1(str(number)) for number in range(40)]


def store(peer: ScriptedPeer, node: Node, key: bytes, value: bytes) -> None:
    args = requests.encode_store_args(StoreArguments(key, b"%d:%b" % (len(value), value), 60))
    payload = packets.encode_request_payload(b"store", args, read_only=False)
    peer.call(node.contact.endpoint, payload)


def call(peer: ScriptedPeer, node: Node, args: bytes) -> Response:
    payload = packets.encode_request_payload(b"findmany", args, read_only=False)
    return peer.call(node.contact.endpoint, payload)


def find(peer: ScriptedPeer, node: Node, keys: list[bytes]) -> list[list[Any] | None]:
    answer = call(peer, node, find_many.encode_args(KEYS[0], keys, b""))
    assert len(answer.payload) < 1_200
    return find_many.decode_reply(packets.decode_values(answer.payload), len(keys))


def test_values_of_each_key(world: World) -> None:
    node, peer, other = world.alice, world.peer(), world.peer()
    store(peer, node, KEYS[1], b"one")
    store(other, node, KEYS[1], b"another")
    store(peer, node, KEYS[2], b"two")
    assert find(peer, node, KEYS[:4]) == [[], [b"another", b"one"], [b"two"], []]


def test_values_that_do_not_fit_are_named(world: World) -> None:
    node, peer = world.alice, world.peer()
    for number, size in enumerate([600, 700, 100, 5_000, 100]):
        store(peer, node, KEYS[number], bytes(size))
    found = find(peer, node, KEYS[:5])
    assert found == [[bytes(600)], None, [bytes(100)], None, [bytes(100)]]
    assert find(peer, node, [KEYS[3]]) == [None]


def test_many_values_of_a_key_do_not_fit(world: World) -> None:
    node = world.alice
    for number in range(32):
        peer = world.peer()
        store(peer, node, KEYS[0], b"%d" % number)
    assert find(peer, node, KEYS[:2]) == [None, []]


def test_most_keys_without_values(world: World) -> None:
    assert find(world.peer(), world.alice, KEYS[:32]) == [[]] * 32


@pytest.mark.parametrize(
    "args",
    [
        b"",
        b"20:" + KEYS[0],
        b"20:" + KEYS[0] + b"0:0:",
        b"20:" + KEYS[0] + b"5:short0:",
        find_many.encode_args(KEYS[0], KEYS[:33], b""),
    ],
)
def test_malformed_requests(world: World, args: bytes) -> None:
    assert call(world.peer(), world.alice, args).packet_type == packets.RPC_RAISED


def test_unvalidated_sender_answers_a_ping_first(world: World) -> None:
    node, peer = world.alice, world.peer()
    args = find_many.encode_args(KEYS[0], KEYS[:9], b"")
    peer.request(
        node.contact.endpoint, packets.encode_request_payload(b"findmany", args, read_only=False)
    )
    packet = peer.receive()
    assert isinstance(packet, packets.Request)
    assert packet.name == b"ping"


def test_the_limit_of_stores_does_not_apply(world: World) -> None:
    node = world.node(params=Params(exempt_private=False, store_bytes_per_subnet=10_000))
    peer = world.peer()
    assert peer.ping_succeeds(node.contact.endpoint)
    for _ in range(30):
        assert find(peer, node, KEYS[:32]) == [[]] * 32
    assert not node.stats()["rate_limited"]
