"""Clients among nodes of the original program, which never forget who sent them a request."""

from __future__ import annotations

from typing import Any

from kademlua import Node, sha1
from kademlua.core.ids import random_id
from kademlua.simulation.rng_streams import RngStreams
from tests.support.original import OriginalPeer
from tests.support.world import RTT, World

KEY = sha1("key")
VALUES_THAT_FIT = 4
"""Values of 15,000 bytes, the default bound, that fit into a datagram."""


def three_originals(world: World) -> list[OriginalPeer]:
    rng = RngStreams(7).stream("originals", 0)
    peers = [
        OriginalPeer(world.net.transport(f"10.1.0.{number}", 8001), random_id(rng))
        for number in range(1, 4)
    ]
    for peer in peers:
        peer.table |= {each.contact for each in peers if each is not peer}
    return peers


def client_of(world: World, peer: OriginalPeer, **settings: Any) -> Node:
    client = world.node(peer.contact.endpoint, read_only=True, **settings)
    assert client.wait_joined(30)
    return client


def test_clients_enter_no_table_beyond_the_first_contact(
    world: World,
) -> None:
    originals = three_originals(world)
    first, *others = originals
    for number in range(10):
        client = client_of(world, first)
        report = client.add(KEY, b"%d" % number)
        assert {each.id for each in report.acknowledged} == {each.contact.id for each in originals}
        client.close()
    reader = client_of(world, first)
    found = {value for answer in reader.find_value(KEY) for value in answer.values}
    assert found == {b"%d" % number for number in range(10)}
    known = {each.contact for each in originals}
    assert all(peer.table == known - {peer.contact} for peer in others)


def test_client_that_knows_the_first_contact_enters_no_table(world: World) -> None:
    originals = three_originals(world)
    first = originals[0].contact
    client = client_of(world, originals[0], v10_peers={first.endpoint: first.id})
    client.add(KEY, b"v")
    client.ping(originals[1].contact)
    client.is_alive(originals[2].contact)
    known = {each.contact for each in originals}
    assert all(peer.table == known - {peer.contact} for peer in originals)


def test_client_whose_requests_are_answered_late_enters_no_table(world: World) -> None:
    """It sends them a second time."""
    originals = three_originals(world)
    first = originals[0].contact
    client = client_of(world, originals[0], v10_peers={first.endpoint: first.id})
    for peer in originals:
        peer.delay = 2 * RTT
    client.add(KEY, b"v")
    client.find_value(KEY)
    assert client.stats()["retransmitted"]
    known = {each.contact for each in originals}
    assert all(peer.table == known - {peer.contact} for peer in originals)


def test_client_enters_no_table_of_originals_known_from_an_earlier_command(world: World) -> None:
    """A 1.1 node names them: the contacts of its reply say nothing of their version."""
    originals = three_originals(world)
    node = world.node(originals[0].contact.endpoint)
    assert node.wait_joined(30)
    earlier = {each.contact.endpoint: each.contact.id for each in originals}
    client = world.node(node.contact.endpoint, read_only=True, v10_peers=earlier)
    assert client.wait_joined(30)
    client.add(KEY, b"v")
    known = {node.contact, *(each.contact for each in originals)}
    assert all(peer.table == known - {peer.contact} for peer in originals)


def test_client_joins_through_a_1_1_node_in_place_of_an_original(world: World) -> None:
    node = world.node()
    earlier = {node.contact.endpoint: node.id}
    client = world.node(node.contact.endpoint, read_only=True, v10_peers=earlier)
    assert client.wait_joined(30)
    assert node.contact in client.find_node(KEY)


def test_client_finds_a_1_1_node_that_an_original_lists(
    world: World,
) -> None:
    """The client takes it for an original first, and its first request is not answered."""
    originals = three_originals(world)
    node = world.node(originals[0].contact.endpoint)
    assert node.wait_joined(30)
    client = client_of(world, originals[0])
    assert node.contact in client.find_node(KEY)
    assert node.contact in client.add(KEY, b"v").acknowledged
    [(owner, _)] = node.datastore.entries(KEY)
    assert owner == client.contact


def test_node_keeps_its_own_id_among_originals(world: World) -> None:
    originals = three_originals(world)
    node = world.node(originals[0].contact.endpoint)
    assert node.wait_joined(30)
    node.add(KEY, b"v")
    assert all(node.contact in peer.table for peer in originals)


def test_find_returns_some_values_of_originals_that_cannot_send_all(world: World) -> None:
    """Over 64 kB, an original sends no reply."""
    originals = three_originals(world)
    for peer in originals:
        peer.hold(KEY, [b"%0100d" % number for number in range(700)])
    for read_only in (False, True):
        reader = world.node(originals[0].contact.endpoint, read_only=read_only)
        assert reader.wait_joined(30)
        answers = reader.find_value(KEY)
        assert {each.contact for each in answers} == {peer.contact for peer in originals}
        assert all(len(each.values) == VALUES_THAT_FIT for each in answers)
        assert all(reader.is_alive(peer.contact, strong=True) for peer in originals)


def test_find_returns_all_values_of_originals_that_can_send_them(world: World) -> None:
    originals = three_originals(world)
    for peer in originals:
        peer.hold(KEY, [b"%0100d" % number for number in range(500)])
    answers = client_of(world, originals[0]).find_value(KEY)
    assert [len(each.values) for each in answers] == [500] * 3
