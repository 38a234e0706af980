"""storemany: several stores in a request, each as a store of its own would be."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import Node, Params, sha1
from kademlua.core.errors import WireError
from kademlua.core.wire import packets, replies, requests, store_many
from kademlua.core.wire.packets import Response
from kademlua.core.wire.replies import Refusal
from kademlua.core.wire.requests import StoreArguments
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEYS = [sha1(str(number)) for number in range(70)]


def entry(key: bytes, value: bytes = b"1:v", **fields: Any) -> bytes:
    return requests.encode_store_args(StoreArguments(key, value, 60, **fields))


def call(peer: ScriptedPeer, node: Node, args: bytes) -> Response:
    payload = packets.encode_request_payload(b"storemany", args, read_only=False)
    return peer.call(node.contact.endpoint, payload)


def store(
    peer: ScriptedPeer, node: Node, entries: list[bytes], token: bytes = b""
) -> list[Refusal | None]:
    args = requests.encode_store_many_args(KEYS[0], entries, token)
    values = packets.decode_values(call(peer, node, args).payload)
    return store_many.decode_reply(values, len(entries))


def test_stores_each_value(world: World) -> None:
    node, peer = world.alice, world.peer()
    assert store(peer, node, [entry(key, seq=5) for key in KEYS[:32]]) == [None] * 32
    assert len(node.datastore) == 32
    [(owner, found)] = node.datastore.entries(KEYS[7])
    assert (owner, found.seq, found.encoded) == (peer.contact, 5, b"1:v")


def test_refusals_and_malformed_stores_concern_one_value(world: World) -> None:
    node, peer = world.node(params=Params(max_value_bytes=10)), world.peer()
    store(peer, node, [entry(KEYS[0], seq=9)])
    results = store(
        peer,
        node,
        [
            entry(KEYS[0], seq=3),
            entry(KEYS[1], b"20:" + bytes(20)),
            b"5:short1:v",
            b"",
            b"20:" + KEYS[2] + b"1:vi0e0:i-5e",
            entry(KEYS[3]),
        ],
    )
    reasons = [None if each is None else each.reason for each in results]
    assert results[0] is not None
    assert results[0].newest_seq == 9
    assert reasons[1] is not None
    assert reasons[2:4] == ["refused without a reason"] * 2  # as for a store without a key
    assert reasons[4:] == ["malformed", None]
    assert len(node.datastore) == 2


@pytest.mark.parametrize(
    "args",
    [
        b"",
        b"20:" + KEYS[0],
        b"20:" + KEYS[0] + b"i5e0:",
        b"20:" + KEYS[0] + b"le0:",
        requests.encode_store_many_args(KEYS[0], [entry(key) for key in KEYS[:33]], b""),
    ],
)
def test_malformed_requests(world: World, args: bytes) -> None:
    answer = call(world.peer(), world.alice, args)
    assert answer.packet_type == packets.RPC_RAISED
    assert len(world.alice.datastore) == 0


def test_store_that_is_no_list(world: World) -> None:
    args = b"20:" + KEYS[0] + b"li5el" + entry(KEYS[1]) + b"ee0:"
    values = packets.decode_values(call(world.peer(), world.alice, args).payload)
    assert store_many.decode_reply(values, 2) == [Refusal("malformed"), None]


def test_unvalidated_sender_answers_a_ping_first(world: World) -> None:
    node, peer = world.alice, world.peer()
    args = requests.encode_store_many_args(KEYS[0], [entry(KEYS[1])], b"")
    peer.request(
        node.contact.endpoint,
        packets.encode_request_payload(b"storemany", args, read_only=False),
    )
    packet = peer.receive()
    assert isinstance(packet, packets.Request)
    assert packet.name == b"ping"
    assert len(node.datastore) == 0


def test_token_of_the_key_validates(world: World) -> None:
    node, peer = world.alice, world.peer()
    payload = packets.encode_request_payload(
        b"findnode", requests.encode_key_args(KEYS[0]), read_only=False
    )
    rpc_id = peer.request(node.contact.endpoint, payload)
    answer = peer.receive()
    while not (isinstance(answer, Response) and answer.rpc_id == rpc_id):
        answer = peer.receive()
    token = replies.decode_token(packets.decode_values(answer.payload))
    assert token
    args = requests.encode_store_many_args(KEYS[0], [entry(KEYS[1])], token)
    peer.request(
        node.contact.endpoint,
        packets.encode_request_payload(b"storemany", args, read_only=False),
    )
    while not len(node.datastore):
        peer.receive()
    assert len(node.datastore) == 1


def test_rate_limit_counts_each_store(world: World) -> None:
    node = world.node(params=Params(exempt_private=False, store_bytes_per_subnet=100_000))
    peer = world.peer()
    assert peer.ping_succeeds(node.contact.endpoint)
    for number in range(3):  # 40 stores are permitted in a burst
        args = requests.encode_store_many_args(KEYS[0], [entry(key) for key in KEYS[:30]], b"")
        payload = packets.encode_request_payload(b"storemany", args, read_only=False)
        peer.request(node.contact.endpoint, payload)
        assert peer.ping_succeeds(node.contact.endpoint), number
    assert node.stats()["rate_limited"]["stores of one source"] >= 1


@pytest.mark.parametrize("payload", [b"le", b"li1ee", b"llee", b"lli1ei1eee", b"llli5xeeee"])
def test_malformed_replies(payload: bytes) -> None:
    with pytest.raises(WireError):
        store_many.decode_reply(packets.decode_values(payload), 1)
