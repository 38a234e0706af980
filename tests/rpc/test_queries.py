"""Replies to findvalue: what fits, and what a caller of version 1.0 gets."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import Contact, Node, sha1
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets, replies, requests
from tests.support.peers import ScriptedPeer
from tests.support.world import World

KEY = sha1("key")


def holder(world: World, *sizes: int) -> Node:
    """A node with 40 contacts, and a byte string of each of these sizes under the key."""
    node = world.node(id=bytes(20))
    for number in range(40):
        contact = Contact("10.9.0.1", 1 + number, sha1(f"contact {number}"))
        node.table.on_reply(contact, 0.0)
    for number, size in enumerate(sizes):
        encoded = replies.encode_value(b"v" * size)
        owner = Contact("10.9.0.2", 1 + number, sha1(f"owner {number}"))
        node.datastore.put(KEY, owner, StoreEntry(encoded, 1e9))
    return node


def find(peer: ScriptedPeer, node: Node, version: int = 1) -> tuple[int, dict[bytes, Any]]:
    """The size of a reply to findvalue, and what it returns, for a validated caller."""
    assert peer.ping_succeeds(node.contact.endpoint)
    node.services.validator.validated_addresses.mark(peer.contact.endpoint, world_now(node))
    args = requests.encode_findvalue_args(KEY, 4096)
    payload = packets.encode_request_payload(b"findvalue", args, read_only=False)
    if version == 0:
        payload = b"d4:name9:findvalue4:argsl%bee" % args
    response = peer.call(node.contact.endpoint, payload)
    [returned] = packets.decode_values(response.payload)
    return 32 + len(response.payload), returned


def world_now(node: Node) -> float:
    return node.services.context.clock()


@pytest.mark.parametrize(
    ("size", "contacts"),
    [(100, 20), (617, 20), (618, 17), (1_000, 2), (1_067, 0), (1_095, 0), (5_000, 0)],
)
def test_contacts_without_space_next_to_the_value_are_left_out(
    world: World, size: int, contacts: int
) -> None:
    node = holder(world, size)
    sent, returned = find(world.peer(), node)
    assert returned[b"retval"] == [b"v" * size]
    packed = returned[b"closest"]
    told = {packed[at : at + 26] for at in range(0, len(packed), 26)}
    assert told == {contact.compact for contact in node.table.closest(KEY, contacts)}
    assert sent <= 1_200 or (size, contacts) == (5_000, 0)


def test_caller_of_1_0_gets_all_values_that_a_packet_holds(world: World) -> None:
    """It has no further pages. The contacts give way."""
    node = holder(world, *[100] * 40)
    sent, returned = find(world.peer(), node, version=0)
    assert len(returned[b"retval"]) == 40
    assert returned[b"closest"] == []
    assert sent < 16_384
    sent, returned = find(world.peer(), node, version=1)
    assert 0 < len(returned[b"retval"]) < 10
    assert returned[b"more"] == 40 - len(returned[b"retval"])
    assert sent <= 1_200


def test_reply_of_1_0_stays_below_what_the_original_receives(world: World) -> None:
    node = holder(world, *[995] * 40)
    sent, returned = find(world.peer(), node, version=0)
    assert len(returned[b"retval"]) == 15
    assert sent < 16_384


def test_unvalidated_caller_of_1_0_gets_the_values_after_a_pong(world: World) -> None:
    node, peer = holder(world, *[100] * 40), world.peer()
    payload = b"d4:name9:findvalue4:argsl20:%bi50eee" % KEY
    response = peer.call(node.contact.endpoint, payload)  # it answers the ping
    [returned] = packets.decode_values(response.payload)
    assert len(returned[b"retval"]) == 40
    assert node.stats()["deferred"] == {"served": 1}


@pytest.mark.parametrize("version", [0, 1])
def test_caller_is_not_among_the_contacts(world: World, version: int) -> None:
    """The original would query itself, and wait for the reply."""
    node, peer = holder(world), world.peer(KEY)
    peer.serve(lambda request: b"li5ee")
    node.ping(peer.contact)
    assert peer.contact in node.table
    peer.stop_serving()
    _, returned = find(peer, node, version)
    assert KEY not in str(returned[b"closest"]).encode()
    ids = [each[2] for each in returned[b"closest"]] if version == 0 else returned[b"closest"]
    assert KEY not in ids
