"""Unvalidated addresses: amplification limit, deferred stores and rate limits."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.contact import ALL_FAMILIES
from kademlua.core.ids import from_int, to_int
from kademlua.core.security.validated_addresses import VALIDATION_LIFETIME
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets as protocol
from kademlua.core.wire import replies, requests
from kademlua.core.wire.packets import Request, Response
from tests.support.peers import ScriptedPeer, always_pong, empty_v11_peer, ping_only_peer
from tests.support.world import ONE_WAY, RTT, World

KEY = sha1("key")
PING = protocol.encode_request_payload(b"ping", b"", read_only=False)
ADDRESS_OF_ALL = Params(exempt_private=False)
"""Treats the private addresses of the virtual network as public."""


def call(name: bytes, args: bytes, version: int = 1) -> bytes:
    """Return a request payload of either version."""
    if version:
        return protocol.encode_request_payload(name, args, read_only=False)
    return b"d4:name%d:%b4:argsl%bee" % (len(name), name, args)


def packets_sent_to(world: World, node: Node, datagram: bytes) -> list[bytes]:
    """Return all packets that a node sends to a silent sender of one datagram."""
    victim = world.peer()
    victim.send(datagram, node.contact.endpoint)
    gevent.sleep(10)
    return victim.unread


def request(payload: bytes, padding: int = 0, number: int = 0) -> bytes:
    node_id = from_int(to_int(sha1("a stranger")) + number)
    return protocol.encode_request(node_id, b"rpc-id-8", payload) + b"\0" * padding


def populated_node(world: World, count: int = 60, **settings: object) -> Node:
    """Return a node with many contacts and values."""
    node = world.node(**settings)
    for number in range(count):
        contact = Contact("10.9.0.1", 1 + number, sha1(f"contact {number}"))
        node.table.on_reply(contact, node.services.context.clock())
    for number in range(30):
        owner = Contact("10.9.0.2", 1 + number, sha1(f"owner {number}"))
        encoded = replies.encode_value(b"v" * (100 if number else 3000))
        node.datastore.put(KEY, owner, StoreEntry(encoded, 1e9, received_at=0.0))
    return node


def all_requests() -> list[bytes]:
    """Return payloads of every RPC in both versions, and some invalid ones."""
    found = [b"", b"le", b"de", b"d4:argsle4:name0:e", b"\xff" * 50]
    for version in (0, 1):
        for key in (KEY, sha1("other"), b"short"):
            text = b"%d:%b" % (len(key), key)
            found += [
                call(b"findnode", text, version),
                call(b"findvalue", text + b"i1e", version),
                call(b"findvalue", text + b"i4096e", version),
                call(b"findvalue", text + b"i4096ei1e", version),
                call(b"store", text + b"1:v", version),
                call(b"store", text + b"1:vi1e8:wrongtok", version),
                call(b"remove", text, version),
            ]
        for name in (b"ping", b"getsocket", b"store", b"findnode", b"nothere", b"big", b"slow"):
            found.append(call(name, b"", version))
    return found


@pytest.mark.parametrize("padding", [0, 1, 40, 129, 600])
def test_replies_stay_within_the_amplification_limit(world: World, padding: int) -> None:
    node = populated_node(world)
    node.register("big", lambda sender: b"x" * 30_000)
    node.register("slow", lambda sender: b"x" * 5_000, blocking=True)
    answered = 0
    for number, payload in enumerate(all_requests()):
        datagram = request(payload, padding, number)
        packets = packets_sent_to(world, node, datagram)
        assert sum(map(len, packets)) <= 3 * len(datagram), payload
        answered += bool(packets)
    assert answered >= 40
    assert all(contact.addr == "10.9.0.1" for contact in node.table)
    assert len(node.datastore) == 30
    assert node.stats()["calls_in_flight"] == 0


def test_garbage_and_responses_get_no_reply(world: World) -> None:
    node = populated_node(world)
    for datagram in (
        b"",
        b"x",
        b"\1" * 29,
        request(b"le"),
        request(PING)[:40],
        b"\2" + request(PING)[1:],
        protocol.encode_response(sha1("x"), b"rpc-id-8", b"li5ee"),
        protocol.encode_error(sha1("x"), b"rpc-id-8", 130),
    ):
        assert packets_sent_to(world, node, datagram) == []


def test_reply_to_unvalidated_sender_depends_on_padding(world: World) -> None:
    node = populated_node(world)
    payload = call(b"findnode", b"20:" + KEY)
    all_of_them = node.table.closest(KEY, 20)
    for least, count in ((0, 5), (240, 20)):
        datagram = request(payload, number=least).ljust(least, b"\0")
        packets = map(protocol.decode, packets_sent_to(world, node, datagram))
        [answer] = [packet for packet in packets if isinstance(packet, Response)]
        values = protocol.decode_values(answer.payload)
        told = replies.decode_findnode_reply(values, node.services.context.pool, ALL_FAMILIES)
        assert set(told) == set(all_of_them[:count])
        assert len(replies.decode_token(values)) == 8


def test_a_1_0_peer_gets_more_once_it_has_answered_a_ping(world: World) -> None:
    node, peer = populated_node(world), world.peer()
    payload = call(b"findnode", b"20:" + KEY, 0)

    def told() -> int:
        answer = peer.call(node.contact.endpoint, payload)
        return len(protocol.decode_values(answer.payload)[0])

    assert told() == 3
    gevent.sleep(RTT)
    peer.ping_succeeds(node.contact.endpoint)  # and answers what came meanwhile
    gevent.sleep(RTT)
    assert told() == 20


def test_large_value_requires_address_validation(world: World) -> None:
    node, peer = world.alice, world.peer()
    owner = Contact("10.9.0.2", 1, sha1("owner"))
    node.datastore.put(KEY, owner, StoreEntry(b"200:" + b"v" * 200, 1e9))
    payload = call(b"findvalue", b"20:" + KEY + b"i1e")
    began = world.now
    answer = peer.call(node.contact.endpoint, payload)
    assert world.now == pytest.approx(began + 2 * RTT)
    assert len(replies.decode_retval(protocol.decode_values(answer.payload))[0]) == 200
    assert node.stats()["deferred"] == {"served": 1}


# Stores.


def stored(node: Node) -> int:
    return len(node.datastore)


def store(key: bytes = KEY, token: bytes = b"", value: bytes = b"1:v") -> bytes:
    return call(
        b"store", requests.encode_store_args(requests.StoreArguments(key, value, 60, token=token))
    )


def test_unvalidated_store_waits_for_a_pong(world: World) -> None:
    node, peer = world.alice, world.peer()
    rpc_id = peer.request(node.contact.endpoint, store())
    gevent.sleep(1)
    ping = peer.receive()
    assert isinstance(ping, Request)
    assert ping.name == b"ping"
    assert stored(node) == 0
    assert not peer.unread
    peer.send(protocol.encode_response(peer.id, ping.rpc_id, b"li5ee"), node.contact.endpoint)
    answer = peer.receive()
    assert isinstance(answer, Response)
    assert (answer.rpc_id, answer.payload) == (rpc_id, replies.STORE_OK)
    assert [owner for owner, _ in node.datastore.entries(KEY)] == [peer.contact]
    peer.request(node.contact.endpoint, store())  # it is known now
    assert peer.receive().payload == replies.STORE_OK  # type: ignore[union-attr]


@pytest.mark.parametrize("size", range(21_854, 21_863))
def test_size_of_a_request_validates_nothing(world: World, size: int) -> None:
    """Three times 21,858 bytes are the longest datagram and a client's ping."""
    node = world.node(params=Params(max_value_bytes=60_000), read_only=True)
    peer = world.peer()
    datagram = protocol.encode_request(peer.id, b"rpc-id-8", store()).ljust(size, b"\0")
    peer.send(datagram, node.contact.endpoint)
    gevent.sleep(5)
    assert stored(node) == 0
    assert node.stats()["deferred"] == {"no proof": 1}


def test_unvalidated_request_of_more_than_the_original_sends_is_dropped(world: World) -> None:
    node, peer = world.alice, world.peer()
    datagram = protocol.encode_request(peer.id, b"rpc-id-8", PING).ljust(16_385, b"\0")
    peer.send(datagram, node.contact.endpoint)
    gevent.sleep(1)
    assert node.stats()["dropped"] == {"too large": 1}
    assert peer.ping_succeeds(node.contact.endpoint)
    peer.serve(always_pong)
    node.ping(peer.contact)
    peer.stop_serving()
    peer.send(datagram, node.contact.endpoint)
    assert isinstance(peer.receive(), Response)


def test_unvalidated_store_is_dropped_without_a_pong(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.request(node.contact.endpoint, store())
    gevent.sleep(5)
    assert stored(node) == 0
    assert node.stats()["deferred"] == {"no proof": 1}
    assert len(peer.unread) == 1


def token_of(peer: ScriptedPeer, node: Node, key: bytes = KEY) -> bytes:
    """Return the token in the reply to a findnode."""
    peer.request(node.contact.endpoint, call(b"findnode", b"20:" + key))
    while True:
        packet = peer.receive()
        if isinstance(packet, Response):
            return replies.decode_token(protocol.decode_values(packet.payload))


@pytest.mark.parametrize("name", [b"findnode", b"findvalue"])
def test_write_token_validates_like_a_pong(world: World, name: bytes) -> None:
    node, peer = world.alice, world.peer()
    answer = peer.call(node.contact.endpoint, call(name, b"20:" + KEY))
    token = replies.decode_token(protocol.decode_values(answer.payload))
    another = world.peer()
    another.request(node.contact.endpoint, store(token=token))  # it is not his
    gevent.sleep(1)
    assert stored(node) == 0
    mute = world.peer()
    token = token_of(mute, node)
    mute.request(node.contact.endpoint, store(token=token))
    gevent.sleep(RTT)
    assert stored(node) == 1


def test_write_token_is_for_one_key_and_validates_the_address(world: World) -> None:
    node, peer = world.alice, world.peer()
    token = token_of(peer, node)
    peer.request(node.contact.endpoint, store(sha1("another"), token))
    gevent.sleep(RTT)
    assert stored(node) == 0
    peer.request(node.contact.endpoint, store(KEY, token))
    peer.request(node.contact.endpoint, store(sha1("a third")))
    gevent.sleep(RTT)
    assert stored(node) == 2


def test_remove_requires_address_validation(world: World) -> None:
    node, owner = world.alice, world.peer()
    owner.call(node.contact.endpoint, store())
    gevent.sleep(VALIDATION_LIFETIME + 1)
    node.datastore.put(
        KEY, owner.contact, StoreEntry(b"1:v", world.now + 9_999, received_at=world.now)
    )
    owner.serve(lambda request: None)
    remove = call(b"remove", requests.encode_remove_args(requests.RemoveArguments(KEY, 60)))
    owner.request(node.contact.endpoint, remove)
    gevent.sleep(5)
    assert stored(node) == 1
    answers: list[bytes] = []
    owner.stop_serving()
    token = token_of(owner, node)
    answers.append(
        owner.call(
            node.contact.endpoint,
            call(b"remove", requests.encode_remove_args(requests.RemoveArguments(KEY, 60, token))),
        ).payload
    )
    assert answers == [replies.REMOVE_OK]
    assert stored(node) == 0


def test_deferred_requests_are_limited_and_the_latest_stay(world: World) -> None:
    node = world.node(params=Params(max_deferred=10))
    peers = [world.peer() for _ in range(30)]
    for peer in peers:
        peer.request(node.contact.endpoint, store())
        gevent.sleep(0.11)  # a ping each
    assert node.stats()["deferred"]["no room"] == 20
    for peer in peers:
        peer.serve(ping_only_peer)
    gevent.sleep(1)
    owners = {owner for owner, _ in node.datastore.entries(KEY)}
    assert owners
    assert owners <= {peer.contact for peer in peers[20:]}


def test_deferred_requests_are_limited_in_bytes(world: World) -> None:
    node = world.node()
    for number in range(60):
        world.peer().request(
            node.contact.endpoint, store(sha1(str(number)), value=b"14000:" + b"v" * 14_000)
        )
    gevent.sleep(ONE_WAY)
    assert node.stats()["deferred"] == {"no room": 60 - 18}
    assert 18 * 14_000 <= 1 << 18 < 19 * 14_000


def test_oversized_request_evicts_no_deferred_request(world: World) -> None:
    node = world.node(params=Params(max_value_bytes=60_000))
    waiting, pusher = world.peer(), world.peer()
    waiting.request(node.contact.endpoint, store())
    pusher.request(node.contact.endpoint, store(sha1("one")))
    pusher.request(node.contact.endpoint, store(sha1("two"), value=b"l20000:%be" % bytes(20_000)))
    gevent.sleep(ONE_WAY + 0.01)
    assert node.stats()["deferred"] == {"no room": 1}
    for peer in (waiting, pusher):
        peer.serve(ping_only_peer)
    gevent.sleep(1)
    assert node.stats()["deferred"] == {"no room": 1, "served": 2}


def test_requests_of_one_contact_that_wait_are_bounded(world: World) -> None:
    """A hundred stores together, as the original sends them, are all served."""
    node, peer = world.alice, world.peer()
    for number in range(130):
        peer.request(node.contact.endpoint, store(sha1(f"{number}")))
    gevent.sleep(0.06)
    assert peer.ping_succeeds(node.contact.endpoint)
    gevent.sleep(1)
    assert sorted(node.datastore.keys()) == sorted(sha1(f"{number}") for number in range(128))
    assert node.stats()["deferred"] == {"served": 128, "no room": 2}


def test_retransmitted_store_retransmits_the_ping(world: World) -> None:
    node, peer = world.alice, world.peer()
    for _ in range(2):
        peer.send(protocol.encode_request(peer.id, b"same-one", store()), node.contact.endpoint)
        gevent.sleep(1)
    assert len(peer.unread) == 2
    peer.serve(empty_v11_peer)
    gevent.sleep(1)
    assert node.stats()["deferred"] == {"served": 1}
    assert stored(node) == 1


def test_validated_node_stores_without_a_ping(world: World) -> None:
    nodes = world.network(30, params=Params(replicas=20))
    report = nodes[3].add(KEY, b"v")
    assert len(report.acknowledged) == 20
    assert sum(KEY in set(node.datastore.keys()) for node in nodes) == 20
    client = world.node(nodes[0], read_only=True)
    assert client.wait_joined(10)
    gevent.sleep(60)
    assert len(client.add(KEY, b"w").acknowledged) == 20


# Who is verified.


def test_endpoint_with_changed_id_loses_its_entry(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    assert peer.contact in node.table
    peer.id = sha1("another")
    gevent.spawn(node.is_alive, peer.contact, strong=True)
    gevent.sleep(RTT + 0.01)
    assert peer.contact not in node.table
    gevent.sleep(20)


def test_contacts_that_only_send_requests_are_revalidated(world: World) -> None:
    """All contacts in the table, which replies contain, stay validated."""
    node, peer = world.node(params=Params(maintenance_interval=86_400)), world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    for _ in range(40):
        gevent.sleep(60)
        peer.request(node.contact.endpoint, PING)
        gevent.sleep(1)
        assert node.services.validator.validated_addresses.is_validated(
            peer.contact.endpoint, world.now
        )
    assert len(peer.requests) <= 6


def test_spoofed_requests_do_not_keep_dead_contacts(world: World) -> None:
    node, peer = world.node(params=Params(maintenance_interval=10)), world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    peer.serve(lambda request: None)  # dead, but a spoofer sends in its name
    for _ in range(70):
        gevent.sleep(10)
        peer.request(node.contact.endpoint, PING)
    assert peer.contact not in node.table


@pytest.mark.parametrize("name", [b"ping", b"findnode", b"leave"])
@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("read_only", [False, True])
def test_spoofed_contact_gets_no_amplified_reply(
    world: World, name: bytes, version: int, read_only: bool
) -> None:
    node = populated_node(world, params=Params(maintenance_interval=86_400), read_only=read_only)
    peer = world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    gevent.sleep(VALIDATION_LIFETIME + 10)
    assert peer.contact in node.table
    before = node.stats()["bytes_out"]
    peer.serve(lambda request: None)
    args = b"20:" + KEY if name == b"findnode" else b""
    datagram = protocol.encode_request(peer.id, b"rpc-id-8", call(name, args, version))
    peer.send(datagram, node.contact.endpoint)
    gevent.sleep(30)
    drawn = node.stats()["bytes_out"] - before
    assert 0 < drawn <= 3 * len(datagram)
