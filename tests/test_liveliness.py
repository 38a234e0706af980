"""Who is alive: weak and strong, probes shared and paced, the dead replaced."""

from collections.abc import Callable

import gevent
import pytest

from kademlua import Contact, Node, Params
from kademlua.core import protocol
from kademlua.core.ids import from_int, to_int
from kademlua.core.protocol import Request
from tests.peers import Clock, Peer, until

Make = Callable[..., Node]
MakePeer = Callable[..., Peer]

PING = protocol.encode_call(b"ping", b"", False)


def in_far_bucket(node_id: bytes, number: int) -> bytes:
    """An id whose first bit differs from a node's."""
    return from_int((to_int(node_id) ^ 1 << 159) + number)


def pong(request: object) -> bytes:
    return b"li5ee"


def test_weak_is_heard_from_lately(make_node: Make, make_peer: MakePeer) -> None:
    clock = Clock()
    node = make_node(params=Params(fresh_for=300), clock=clock)
    peer = make_peer()
    peer.serve(pong)
    assert not node._liveliness.is_fresh(peer.contact)
    node.ping(peer.contact)
    assert node.is_alive(peer.contact)
    assert len(peer.requests) == 1  # nobody was asked for that
    clock.passed = 299 - 60
    assert node.is_alive(peer.contact)
    assert len(peer.requests) == 1
    clock.passed = 301
    assert not node._liveliness.is_fresh(peer.contact)
    assert node.is_alive(peer.contact)
    assert len(peer.requests) == 2


def test_strong_asks_always_and_three_times(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    pings = []

    def answer(request: Request) -> bytes | None:
        if request.name == b"ping":
            pings.append(request)
        return b"li5ee" if len(pings) in (1, 4) else None

    peer.serve(answer)
    node.ping(peer.contact)
    assert node.is_alive(peer.contact, strong=True)  # the third of three tries is answered
    assert len(pings) == 4
    assert not node.is_alive(peer.contact, strong=True)
    assert len(pings) == 7
    assert peer.contact not in node.table


def test_any_answer_is_a_sign_of_life(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    peer.serve(lambda request: b"no bencoding")
    assert node.is_alive(peer.contact, strong=True)


def test_those_who_wait_for_one_contact_share_its_probe(
    make_node: Make, make_peer: MakePeer
) -> None:
    node, peer = make_node(), make_peer()
    waiting = [gevent.spawn(node.is_alive, peer.contact, strong=True) for _ in range(20)]
    gevent.sleep(0.05)
    peer.serve(pong)
    gevent.joinall(waiting, timeout=10)
    assert all(greenlet.value for greenlet in waiting)
    assert len(peer.requests) <= 2


def test_a_sender_that_answers_a_ping_enters(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    peer.request(node.contact.endpoint, PING)
    peer.serve(pong)
    until(lambda: peer.contact in node.table)
    assert [request.name for request in peer.requests] == [b"ping"]


def test_strangers_are_probed_at_a_bounded_rate_and_number(
    make_node: Make, make_peer: MakePeer
) -> None:
    node = make_node(params=Params(rpc_timeout=30, probe_rate=10, max_probes=20))
    peer = make_peer()
    for number in range(200):
        stranger = from_int(to_int(peer.id) ^ number)
        peer.send(protocol.encode_request(stranger, b"%08d" % number, PING), node.contact.endpoint)
    assert peer.is_served_by(node.contact.endpoint)
    assert 1 <= node.stats()["calls"]["ping"] <= 12
    assert len(node._liveliness._probes) == 20


@pytest.fixture
def full(make_node: Make, make_peer: MakePeer) -> tuple[Node, Clock, list[Peer]]:
    """A node with a full far bucket of two, a third contact for it, and one near by (so that
    the far bucket is not the own one, which would split)."""
    clock = Clock()
    node = make_node(params=Params(k=2, min_patience=0.3), clock=clock)
    peers = [make_peer(node_id=in_far_bucket(node.id, number)) for number in range(3)]
    peers.append(make_peer(node_id=from_int(to_int(node.id) ^ 1)))
    for peer in peers:
        peer.serve(pong)
    for peer in (peers[3], peers[0], peers[1]):
        node.ping(peer.contact)
    return node, clock, peers


def test_a_full_bucket_of_fresh_contacts_bothers_nobody(
    full: tuple[Node, Clock, list[Peer]],
) -> None:
    node, _, peers = full
    node.ping(peers[2].contact)
    assert not node._liveliness._probes
    assert peers[2].contact not in node.table


def test_a_full_bucket_keeps_the_living(full: tuple[Node, Clock, list[Peer]]) -> None:
    node, clock, peers = full
    clock.passed = 1000  # weakly, they count as dead now
    node.ping(peers[2].contact)
    until(lambda: len(peers[0].requests) == 2)  # the least recently seen one is asked
    until(lambda: not node._liveliness._probes)
    assert {contact.id for contact in node.table} == {peers[n].id for n in (0, 1, 3)}


def test_the_dead_make_room_for_the_waiting(full: tuple[Node, Clock, list[Peer]]) -> None:
    node, clock, peers = full
    peers[0].close()
    clock.passed = 1000
    node.ping(peers[2].contact)
    until(lambda: peers[2].contact in node.table)
    assert peers[0].contact not in node.table
    until(lambda: len(peers[2].requests) == 2)  # made sure of as it moved up


def test_a_contact_that_times_out_is_made_sure_of(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(params=Params(rpc_timeout=0.2)), make_peer()
    peer.serve(lambda request: b"li5ee" if request.name == b"ping" else None)
    node.ping(peer.contact)
    assert node.find_node(node.id) == []
    # The query was repeated once; then the contact was asked whether it lives at all.
    names = [b"ping", b"findnode", b"findnode", b"ping"]
    until(lambda: [request.name for request in peer.requests] == names)
    until(lambda: not node._liveliness._probes)
    assert peer.contact in node.table


def test_the_dead_are_remembered_until_they_are_heard_from(
    make_node: Make, make_peer: MakePeer
) -> None:
    node, teller, dead = make_node(params=Params(rpc_timeout=1)), make_peer(), make_peer()
    teller.serve(
        lambda request: b"li5ee" if request.name == b"ping" else b"ll%bee" % dead.contact.listed
    )
    node.ping(teller.contact)
    assert not node.is_alive(dead.contact, strong=True)
    asked = node.stats()["calls"]
    assert node.find_node(dead.id) == [teller.contact]  # it tells of the dead one, in vain
    assert node.stats()["calls"] == asked | {"findnode": asked.get("findnode", 0) + 1}
    dead.serve(lambda request: b"li5ee" if request.name == b"ping" else b"llee")
    dead.request(node.contact.endpoint, PING)
    until(lambda: dead.contact in node.table)
    assert dead.contact in node.find_node(dead.id)


def test_silent_contacts_are_questioned_by_and_by(make_node: Make, make_peer: MakePeer) -> None:
    clock = Clock()
    node = make_node(params=Params(settle_interval=0.1, fresh_for=300), clock=clock)
    peers = [make_peer() for _ in range(5)]
    for peer in peers:
        peer.serve(pong)
        node.ping(peer.contact)
    peers[0].close()
    clock.passed = 301
    until(lambda: len(node.table) == 4)
    until(lambda: all(len(peer.requests) > 1 for peer in peers[1:]))
    assert peers[0].contact not in node.table


def test_round_trips_are_smoothed_and_make_patience(make_node: Make, make_peer: MakePeer) -> None:
    params = Params(rpc_timeout=5, min_patience=0.001)
    node, peer = make_node(params=params), make_peer()
    unknown = Contact("127.0.0.1", 9, b"x" * 20)
    assert node._liveliness.patience(unknown) == 5
    peer.serve(pong)
    for _ in range(20):
        node.ping(peer.contact)
    record = node.table.get(peer.id)
    assert record is not None
    assert 0 < record.smoothed < 1
    assert 0.001 <= node._liveliness.patience(peer.contact) < 5
    # An unknown path is as patient as all paths together would have it.
    assert node._liveliness.patience(unknown) < 5


def test_the_dead_are_asked_again_and_their_network_met(
    make_node: Make, make_network: Callable[..., list[Node]], make_peer: MakePeer
) -> None:
    """Two networks whose nodes took each other for dead become one."""
    often = Params(settle_interval=0.1, rpc_timeout=0.5)
    one, two = make_network(6, params=often), make_network(6, params=often)
    for node in one:
        for other in two[:3]:
            node._liveliness._note_dead(other.contact)
    until(lambda: all(len(node.table) == 11 for node in [*one, *two]))
    one[0].add(b"k" * 20, b"v")
    assert two[5].find_value(b"k" * 20)
