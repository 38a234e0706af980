"""What a node sends to third parties that a peer names: nearly nothing, and never a value."""

from __future__ import annotations

import random

import gevent
import pytest

from kademlua import Contact, Node, Params
from kademlua.core.contact import Endpoint
from kademlua.core.ids import to_int
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.packets import Request
from kademlua.simulation.network.addresses import public_address
from tests.support.parts import replicator_of, value_transfer
from tests.support.peers import ScriptedPeer, empty_v11_peer, requests_served
from tests.support.world import World

KEY = b"k" * 20
VALUE = b"v" * 10_000
MINUTE = 60.0
Sent = list[tuple[float, bytes]]


class Watch:
    """The datagrams that arrive, or are lost, at some endpoints."""

    def __init__(self, world: World, endpoints: list[Endpoint]) -> None:
        self.sent: dict[Endpoint, Sent] = {endpoint: [] for endpoint in endpoints}
        world.net.set_observer(self._on_packet)

    @property
    def datagrams(self) -> list[bytes]:
        return [datagram for sent in self.sent.values() for _, datagram in sent]

    def check(self) -> None:
        """Assert that none of them got more than the gate permits."""
        assert all(len(datagram) <= 300 for datagram in self.datagrams)
        assert not any(b"5:store" in datagram for datagram in self.datagrams)
        for sent in self.sent.values():
            for first, third in zip(sent, sent[2:], strict=False):
                assert third[0] - first[0] >= MINUTE - 1.5

    def _on_packet(self, at: float, _: Endpoint, to: Endpoint, datagram: bytes, __: str) -> None:
        if to in self.sent:
            self.sent[to].append((at, datagram))


def near(key: bytes, bits: int, rng: random.Random) -> bytes:
    """Return an id that shares ``bits`` leading bits with a key."""
    return (to_int(key) ^ 1 << (159 - bits) ^ rng.getrandbits(159 - bits)).to_bytes(20, "big")


def third_parties(count: int) -> list[Contact]:
    rng = random.Random(1)
    return [Contact(public_address(5_000 + n), 53, near(KEY, 10, rng)) for n in range(count)]


def liar(world: World, named: list[Contact], number: int = 1) -> ScriptedPeer:
    """Return a peer near the key that names others in each reply."""
    node_id = near(KEY, 20, random.Random(number))
    peer = world.peer(node_id, (public_address(1_000 + number), 4000))

    def respond(request: Request) -> bytes:
        if request.name in (b"findnode", b"findvalue"):
            return replies.encode_findnode_reply(named, 1)
        return {b"ping": b"li5ee", b"store": b"li1ee"}.get(request.name, b"le")

    peer.serve(respond)
    return peer


def public_node(world: World, *bootstrap: Endpoint, host: str = "", **settings: object) -> Node:
    return world.node(*bootstrap, endpoint=(host or public_address(1), 4000), **settings)


def test_liar_that_names_third_parties_in_a_thousand_replies(world: World) -> None:
    victims = third_parties(20)
    peer = liar(world, victims)
    watch = Watch(world, [each.endpoint for each in victims])
    node = public_node(world, peer.contact.endpoint, params=Params(dead_quarantine=0))
    assert node.wait_joined()
    began = world.now
    while requests_served(peer).count("findnode") < 1_000:
        node.find_node(KEY)
    watch.check()
    minutes = 1 + (world.now - began + 10) // MINUTE
    assert 0 < len(watch.datagrams) <= 2 * len(victims) * minutes
    assert minutes < 60


def test_concurrent_lookups_share_one_query(world: World) -> None:
    victims = third_parties(20)
    peer = liar(world, victims)
    node = public_node(world, peer.contact.endpoint)
    assert node.wait_joined()
    gevent.sleep(2 * MINUTE)
    watch = Watch(world, [each.endpoint for each in victims])
    gevent.joinall([gevent.spawn(node.find_node, KEY) for _ in range(50)], raise_error=True)
    watch.check()
    assert all(len(sent) <= 2 for sent in watch.sent.values())


def test_values_go_to_no_third_party(world: World) -> None:
    victims = third_parties(30)
    peers = [liar(world, victims, number) for number in range(1, 9)]
    watch = Watch(world, [each.endpoint for each in victims])
    node = public_node(world, *[each.contact.endpoint for each in peers])
    assert node.wait_joined()
    for number in range(20):
        node.add(KEY[:18] + bytes([0, number]), VALUE)
    watch.check()
    sent = sum(map(len, watch.datagrams))
    assert sent <= 2 * 300 * len(victims)


def test_unqueried_replica_gets_the_value_after_one_query(world: World) -> None:
    others = [liar(world, [], number) for number in range(2, 6)]
    peer = liar(world, [*(each.contact for each in others), *third_parties(8)])
    node = public_node(world, peer.contact.endpoint, params=Params(k=20, replicas=4))
    assert node.wait_joined()
    assert len(node.add(KEY, VALUE).acknowledged) >= 3


def test_upkeep_pings_a_stranger_before_it_sends_a_value(world: World) -> None:
    node, stranger = public_node(world), liar(world, [], 2)
    node.add(KEY, VALUE)
    value_transfer(node).push(KEY, [stranger.contact])
    assert requests_served(stranger) == ["ping", "store"]


@pytest.mark.parametrize("host", ["0.0.0.0", public_address(1)])
def test_public_peer_leads_no_node_to_special_addresses(world: World, host: str) -> None:
    names = [("127.0.0.1", 53), ("0.0.0.0", 123), ("224.0.0.251", 5353), ("255.255.255.255", 137)]
    names += [("10.0.0.5", 161), ("169.254.169.254", 80), ("127.255.255.255", 19), ("240.0.0.1", 7)]
    rng = random.Random(2)
    named = [Contact(*endpoint, near(KEY, 10, rng)) for endpoint in names]
    peer = liar(world, named)
    watch = Watch(world, names)
    node = public_node(world, peer.contact.endpoint, host=host)
    assert node.wait_joined()
    node.find_node(KEY)
    assert not node.find_value(KEY)
    assert not watch.datagrams


def test_private_peer_names_private_nodes(world: World) -> None:
    first = world.node(endpoint=("192.168.1.1", 4000))
    second = world.node(first, endpoint=("10.0.0.1", 4000))
    node = world.node(first, endpoint=("0.0.0.0", 4000))
    assert second.wait_joined()
    assert node.wait_joined()
    gevent.sleep(20)
    assert second.contact in node.table


def test_saved_and_discovered_addresses_are_queried_once_a_minute(world: World) -> None:
    saved, discovered = third_parties(2)
    watch = Watch(world, [saved.endpoint, discovered.endpoint])
    node = public_node(world, (public_address(9), 4), cached_endpoints=[saved.endpoint])
    node.add_peers([discovered.endpoint])
    gevent.sleep(10 * MINUTE)
    watch.check()
    for sent in watch.sent.values():
        assert 2 <= len(sent) <= 22


def test_configured_address_is_queried_until_it_answers(world: World) -> None:
    [seed] = third_parties(1)
    watch = Watch(world, [seed.endpoint])
    node = public_node(world, seed.endpoint)
    gevent.sleep(5 * MINUTE)
    assert len(watch.datagrams) > 20
    assert not node.joined


@pytest.mark.parametrize("outage", [120.0, 7_200.0])
def test_node_rejoins_through_former_contacts(world: World, outage: float) -> None:
    first = world.node(endpoint=(public_address(2), 4000))
    others = [world.node(first, endpoint=(public_address(n), 4000)) for n in range(3, 9)]
    node = public_node(world, first.contact.endpoint)
    assert node.wait_joined()
    assert all(each.wait_joined() for each in others)
    gevent.sleep(MINUTE)
    first.close()
    world.net.pause(node.contact.endpoint)
    gevent.sleep(outage)
    world.net.resume(node.contact.endpoint)
    gevent.sleep(30)
    assert node.joined
    assert any(each.contact in node.table for each in others)


def test_contact_that_falls_silent_gets_no_further_value(world: World) -> None:
    node, peer = public_node(world), liar(world, [], 3)
    node.ping(peer.contact)
    for number in range(20):
        node.add(KEY[:18] + bytes([1, number]), VALUE)
    watch = Watch(world, [peer.contact.endpoint])
    world.net.pause(peer.contact.endpoint)
    push_all(node, peer.contact)
    stores = [datagram for datagram in watch.datagrams if b"5:store" in datagram]
    assert len(stores) <= 2 * 4  # those in flight together, each with its retransmission


@pytest.mark.parametrize("silent_count", [0, 16])
def test_upkeep_keeps_its_rate_whatever_falls_silent(world: World, silent_count: int) -> None:
    rate, node_ids = 20_000, [near(KEY, 12, random.Random(n)) for n in range(40)]
    params = Params(replication_bytes_per_second=rate, replicate_interval=60)
    peers = [
        world.peer(node_id, (public_address(100 + n), 4000)) for n, node_id in enumerate(node_ids)
    ]
    node = public_node(world, params=params, id=near(KEY, 16, random.Random(99)))
    for peer in peers:
        peer.serve(empty_v11_peer)
        node.ping(peer.contact)
    for number in range(12):
        node.add(KEY[:18] + bytes([2, number]), VALUE)
    for peer in peers[:silent_count]:
        world.net.pause(peer.contact.endpoint)
    watch = Watch(world, [each.contact.endpoint for each in peers])
    began = world.now
    gevent.sleep(5 * MINUTE)
    stores = [len(datagram) for datagram in watch.datagrams if b"5:store" in datagram]
    assert len(stores) > 40
    # A burst of four workers, and what they retransmit, may be ahead of the rate.
    assert sum(stores) <= rate * (world.now - began) + 4 * 2 * 20 * len(VALUE)


def push_all(node: Node, recipient: Contact) -> None:
    """Replicate all values of a node to a contact."""
    replicator = replicator_of(node)
    for key in list(node.datastore.keys()):
        replicator.enqueue(key, [recipient])
    gevent.sleep(MINUTE)


def reach(peer: ScriptedPeer, node: Node, named: Contact) -> bool:
    payload = packets.encode_request_payload(
        b"reach", requests.encode_reach_args(named), read_only=False
    )
    reply = peer.call(node.contact.endpoint, payload)
    return replies.decode_reach_reply(packets.decode_values(reply.payload))


def test_reach_names_an_endpoint_once_a_minute(world: World) -> None:
    node = public_node(world)
    peer = world.peer(endpoint=(public_address(2), 4000))
    [victim] = third_parties(1)
    watch = Watch(world, [victim.endpoint])
    results = []
    for _ in range(20):
        results.append(reach(peer, node, victim))
        gevent.sleep(2)
    watch.check()
    assert results.count(True) == len(watch.datagrams) <= 2
