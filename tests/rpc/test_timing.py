"""When a node sends a request again, and when it gives up: the table in protocol-behaviour.md."""

from __future__ import annotations

from itertools import pairwise

import gevent
import pytest

from kademlua import Contact, Node, RpcTimeout, sha1
from kademlua.core.contact import Endpoint
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request
from tests.support.peers import ScriptedPeer, empty_v11_peer
from tests.support.world import TIMER_SLACK, UNUSED_ENDPOINT, World

KEY = sha1("key")


class Sent:
    """The requests to one endpoint, with their times."""

    def __init__(self, world: World, to: Endpoint) -> None:
        self._to = to
        self._all: list[tuple[float, bytes]] = []
        world.net.set_observer(self._take)

    def _take(self, at: float, source: Endpoint, to: Endpoint, datagram: bytes, fate: str) -> None:
        if to == self._to:
            self._all.append((at, datagram))

    def of(self, rpc: str) -> list[tuple[float, bytes]]:
        """Return the time and datagram of each request of an RPC."""
        return [
            (at, datagram)
            for at, datagram in self._all
            if isinstance(packet := packets.decode(datagram), Request)
            and packet.name == rpc.encode()
        ]


def known_and_silent(world: World) -> tuple[Node, ScriptedPeer]:
    """A node, and a peer in its table that has answered often and is silent now."""
    node, peer = world.alice, world.peer()
    peer.serve(empty_v11_peer)
    for _ in range(20):
        node.ping(peer.contact)
    peer.serve(lambda request: None)
    return node, peer


def intervals(sent: list[tuple[float, bytes]]) -> list[float]:
    return [later - earlier for (earlier, _), (later, _) in pairwise(sent)]


def soon_after(seconds: float) -> object:
    return pytest.approx(seconds + TIMER_SLACK / 2, abs=TIMER_SLACK / 2 + 1e-6)


@pytest.mark.parametrize("rpc", ["findnode", "findvalue"])
def test_query_is_sent_again_once_with_the_same_rpc_id(world: World, rpc: str) -> None:
    node, peer = known_and_silent(world)
    rto = node.services.liveliness.rto_estimator.rto_for(peer.contact)
    sent, began = Sent(world, peer.contact.endpoint), world.now
    found: list[object] = [*(node.find_node(KEY) if rpc == "findnode" else node.find_value(KEY))]
    assert found == []
    datagrams = [datagram for _, datagram in sent.of(rpc)]
    assert len(datagrams) == 2
    assert datagrams[0] == datagrams[1]
    assert intervals(sent.of(rpc)) == [soon_after(rto)]
    assert world.now - began <= max(4 * rto, 1.0) + 2 * TIMER_SLACK


def test_store_waits_twice_as_long_without_a_token(world: World) -> None:
    """The peer answers the query, without a token, and is silent then."""
    node, peer = known_and_silent(world)
    peer.serve(lambda request: None if request.name == b"store" else empty_v11_peer(request))
    sent = Sent(world, peer.contact.endpoint)
    report = node.add(KEY, b"v")
    assert report.timed_out == [peer.contact]
    rto = node.services.liveliness.rto_estimator.rto_for(peer.contact)
    (_, first), (_, again) = sent.of("store")
    assert first == again
    assert intervals(sent.of("store")) == [pytest.approx(2 * rto, rel=0.2)]


def test_ping_of_a_program_is_sent_once(world: World) -> None:
    node, peer = known_and_silent(world)
    sent, began = Sent(world, peer.contact.endpoint), world.now
    with pytest.raises(RpcTimeout):
        node.ping(peer.contact)
    assert world.now - began == soon_after(1.5)
    assert len(sent.of("ping")) == 1


def test_probe_is_three_pings_each_with_twice_the_timeout(world: World) -> None:
    node, peer = known_and_silent(world)
    rto = node.services.liveliness.rto_estimator.rto_for(peer.contact, 0.05)
    sent = Sent(world, peer.contact.endpoint)
    assert not node.is_alive(peer.contact, strong=True)
    pings = sent.of("ping")
    assert len({datagram[21:29] for _, datagram in pings}) == len(pings) == 3
    first, second = intervals(pings)
    assert rto <= first <= 1.1 * rto + TIMER_SLACK
    assert 2 * rto <= second <= 2.2 * rto + TIMER_SLACK
    assert peer.contact not in node.table


def test_bootstrap_address_is_queried_again_after_half_a_second(world: World) -> None:
    sent = Sent(world, UNUSED_ENDPOINT)
    node = world.node(UNUSED_ENDPOINT)
    gevent.sleep(1.6)
    (first, datagram), (again, repeated), *_ = sent.of("findnode")
    assert again - first == soon_after(0.5)
    assert datagram == repeated
    assert len(datagram) == 240
    assert not node.joined


def test_repeated_request_is_answered_again(world: World) -> None:
    node, peer = world.alice, world.peer()
    request = packets.encode_request(
        peer.id, b"rpc-id-8", packets.encode_request_payload(b"ping", b"", read_only=True)
    )
    for _ in range(3):
        peer.send(request, node.contact.endpoint)
    gevent.sleep(1)
    answers = [answer for answer in peer.unread if answer[29] == packets.RESPONSE]
    assert answers == [packets.encode_response(node.id, b"rpc-id-8", b"li5ee")] * 3


def test_contact_of_a_failed_query_is_probed(world: World) -> None:
    node, peer = known_and_silent(world)
    sent = Sent(world, peer.contact.endpoint)
    node.find_node(KEY)
    gevent.sleep(5)
    assert len(sent.of("ping")) == 3
    assert Contact(*peer.contact.endpoint, peer.id) not in node.table
