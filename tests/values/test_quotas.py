"""Quotas against peers: a value is charged to the peer that sent it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kademlua import Contact, Node, Params, sha1
from kademlua.core.wire import packets, replies, requests
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEY = sha1("key")


def store(peer: ScriptedPeer, node: Node, key: bytes, value: bytes = b"1:v", **how: Any) -> str:
    """Have a peer store; return the reason of a refusal, or nothing."""
    args = requests.encode_store_args(requests.StoreArguments(key, value, 3_600, **how))
    payload = packets.encode_request_payload(b"store", args, read_only=False)
    answer = peer.call(node.contact.endpoint, payload)
    if answer.payload == replies.STORE_OK:
        return ""
    return answer.payload.partition(b":")[2][:-1].decode()


def key_of(number: int) -> bytes:
    return sha1(str(number))


def owner_at(number: int) -> Contact:
    return Contact(f"8.8.{number}.1", 4000, key_of(number))


def test_made_up_owner_does_not_evade_the_quota_of_the_sender(world: World) -> None:
    node = world.node(params=Params(max_entries_per_address=5))
    attacker = world.peer(endpoint=("203.0.113.1", 4000))
    refusals = [store(attacker, node, key_of(n), owner=owner_at(n)) for n in range(8)]
    assert refusals == [""] * 5 + ["no room for more values of this address"] * 3


def test_named_owner_keeps_its_own_quota(world: World) -> None:
    node = world.node(params=Params(max_entries_per_address=5))
    attacker = world.peer(endpoint=("203.0.113.1", 4000))
    victim = world.peer(endpoint=("192.0.2.1", 4000))
    for number in range(5):
        assert store(attacker, node, key_of(number), owner=victim.contact) == ""
    for number in range(10, 15):
        assert store(victim, node, key_of(number)) == ""
    assert "of this address" in store(victim, node, key_of(20))


def test_owner_that_stores_itself_is_charged_in_place_of_the_holder(world: World) -> None:
    node = world.node(params=Params(max_entries_per_address=1))
    holder = world.peer(endpoint=("203.0.113.1", 4000))
    owner = world.peer(endpoint=("192.0.2.1", 4000))
    assert store(holder, node, KEY, owner=owner.contact) == ""
    assert store(owner, node, KEY) == ""
    assert "of this address" in store(owner, node, key_of(1))
    assert store(holder, node, key_of(2), owner=owner_at(2)) == ""


def test_holder_may_replicate_values_of_many_owners(world: World) -> None:
    node = world.node(params=Params(max_entries_per_address=50))
    holder = world.peer(endpoint=("203.0.113.1", 4000))
    for number in range(50):
        assert store(holder, node, key_of(number), owner=owner_at(number)) == ""
    assert len(node.datastore) == 50


def test_forgery_does_not_replace_a_replicated_value(world: World) -> None:
    node, holder, attacker = world.alice, world.peer(), world.peer()
    owner = world.peer()
    assert store(holder, node, KEY, b"7:genuine", owner=owner.contact) == ""
    store(attacker, node, KEY, b"6:forged", owner=owner.contact)
    store(attacker, node, KEY, b"6:forged", owner=owner.contact, seq=7)
    assert [entry.encoded for _, entry in node.datastore.entries(KEY)] == [b"7:genuine"]
    assert store(owner, node, KEY, b"3:own") == ""
    assert [entry.encoded for _, entry in node.datastore.entries(KEY)] == [b"3:own"]


def test_subnet_cannot_fill_a_key(world: World) -> None:
    node = world.node(params=Params(max_entries_per_key=20, subnet_limit_key=5))
    attackers = [world.peer(endpoint=("203.0.113.1", 4000 + n)) for n in range(4)]
    attackers += [world.peer(endpoint=(f"203.0.113.{n}", 4000)) for n in range(2, 6)]
    refusals = [store(each, node, KEY) for each in attackers]
    assert refusals == [""] * 5 + ["no room for more values of this key and subnet"] * 3
    assert "and subnet" in store(attackers[5], node, KEY, owner=owner_at(1))
    assert store(world.peer(endpoint=("198.51.100.1", 4000)), node, KEY) == ""
    assert store(world.peer(endpoint=("2001:db8::1", 4000)), node, KEY) == ""


def test_private_addresses_may_share_a_key(world: World) -> None:
    node = world.node(params=Params(subnet_limit_key=2))
    for _ in range(4):
        assert store(world.peer(), node, KEY) == ""
    limited = world.node(params=Params(subnet_limit_key=2, exempt_private=False))
    refusals = [store(world.peer(), limited, KEY) for _ in range(4)]
    assert refusals == ["", "", *["no room for more values of this key and subnet"] * 2]


def test_full_store_makes_room_for_subnets_below_their_share(world: World) -> None:
    node = world.node(params=Params(max_entries=12))
    attacker = world.peer(endpoint=("203.0.113.1", 4000))
    for number in range(12):
        assert store(attacker, node, key_of(number), owner=owner_at(number)) == ""
    assert store(attacker, node, key_of(12)) == "no room for more values"
    for net, share in ((1, 6), (2, 4)):
        peer = world.peer(endpoint=(f"192.0.{net}.1", 4000))
        refusals = [store(peer, node, key_of(100 * net + number)) for number in range(7)]
        assert refusals == [""] * share + ["no room for more values"] * (7 - share)
    senders = Counter(
        (entry.sender or owner).addr
        for key in list(node.datastore.keys())
        for owner, entry in node.datastore.entries(key)
    )
    assert senders == {"203.0.113.1": 4, "192.0.1.1": 4, "192.0.2.1": 4}
    assert node.stats()["evicted"] == 10


def test_record_is_charged_to_the_peer_that_sent_it_last(world: World) -> None:
    node = world.node(params=Params(max_entries_per_address=1))
    key, record = sha1("5:hello"), b"5:hello"
    first = world.peer(endpoint=("203.0.113.1", 4000))
    assert store(first, node, key, record) == ""
    assert "of this address" in store(first, node, key_of(1))
    second = world.peer(endpoint=("192.0.2.1", 4000))
    args = requests.encode_store_args(requests.StoreArguments(key, record, 7_200))
    second.call(
        node.contact.endpoint, packets.encode_request_payload(b"store", args, read_only=False)
    )
    assert store(first, node, key_of(1)) == ""
    assert "of this address" in store(second, node, key_of(2))
