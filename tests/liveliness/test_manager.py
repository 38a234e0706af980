"""Liveliness: weak and strong checks, shared and paced probes, dead contacts."""

import gevent
import pytest

from kademlua import Contact, Node, Params, RpcTimeout
from kademlua.core.ids import from_int, to_int
from kademlua.core.wire import packets
from tests.support.parts import mark_dead, probe_count
from tests.support.peers import (
    ScriptedPeer,
    always_pong,
    empty_v10_peer,
    ping_only_peer,
    requests_served,
)
from tests.support.world import ONE_WAY, RTT, TIMER_SLACK, World, approx_time

PING = packets.encode_request_payload(b"ping", b"", read_only=False)
NO_UPKEEP = Params(maintenance_interval=86_400)
"""Disables maintenance, for tests in which hours pass."""


def in_far_bucket(node_id: bytes, number: int) -> bytes:
    """Return an id whose first bit differs from a node's."""
    return from_int((to_int(node_id) ^ 1 << 159) + number)


def test_weak_liveliness_means_a_recent_reply(world: World) -> None:
    node, peer = world.node(params=NO_UPKEEP), world.peer()
    peer.serve(always_pong)
    assert not node.services.liveliness.is_fresh(peer.contact)
    node.ping(peer.contact)
    assert node.is_alive(peer.contact)
    gevent.sleep(node.params.freshness_window - 0.001)
    assert node.is_alive(peer.contact)
    assert len(peer.requests) == 1  # no ping was needed
    gevent.sleep(0.002)
    assert not node.services.liveliness.is_fresh(peer.contact)
    assert node.is_alive(peer.contact)
    assert len(peer.requests) == 2


def test_strong_check_always_pings_up_to_three_times(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(lambda request: b"li5ee" if len(peer.requests) in (1, 4) else None)
    node.ping(peer.contact)
    assert node.is_alive(peer.contact, strong=True)  # the third of three tries is answered
    assert len(peer.requests) == 4
    started_at, rto = world.now, node.services.liveliness.rto_estimator.rto_for(peer.contact)
    assert not node.is_alive(peer.contact, strong=True)
    # The second try doubles the timeout and the last takes a second, plus up to 10 % jitter.
    seconds = 3 * rto + 1
    assert seconds <= world.now - started_at <= 1.1 * seconds + 3 * TIMER_SLACK
    assert requests_served(peer) == 7 * ["ping"]
    assert peer.contact not in node.table


def test_any_reply_proves_liveliness(world: World) -> None:
    peer = world.peer()
    peer.serve(lambda request: b"no bencoding")
    assert world.alice.is_alive(peer.contact, strong=True)
    assert world.now == pytest.approx(RTT)


def test_callers_share_one_probe_per_contact(world: World) -> None:
    node, peer = world.alice, world.peer()
    waiting = [gevent.spawn(node.is_alive, peer.contact, strong=True) for _ in range(20)]
    gevent.sleep(1)
    peer.serve(always_pong)
    gevent.joinall(waiting)
    assert world.now == pytest.approx(1 + ONE_WAY)
    assert all(greenlet.value for greenlet in waiting)
    assert requests_served(peer) == ["ping"]


def test_sender_that_answers_a_ping_enters_the_table(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(always_pong)
    peer.request(node.contact.endpoint, PING)
    gevent.sleep(3 * ONE_WAY - 0.001)
    assert peer.contact not in node.table
    gevent.sleep(0.002)
    assert peer.contact in node.table
    assert requests_served(peer) == ["ping"]


def test_unknown_senders_are_probed_at_a_limited_rate(world: World) -> None:
    node = world.node(params=Params(rpc_timeout=30, probe_rate=10, max_probes=20))
    peer = world.peer()
    for number in range(200):
        stranger = from_int(to_int(peer.id) ^ number)
        peer.send(packets.encode_request(stranger, b"%08d" % number, PING), node.contact.endpoint)
    gevent.sleep(ONE_WAY + 0.01)
    assert node.stats()["calls_by_rpc"] == {"ping": 10}  # a second's worth is sent at once
    assert probe_count(node) == 20
    gevent.sleep(0.5)
    assert node.stats()["calls_by_rpc"] == {"ping": 15}
    assert peer.ping_succeeds(node.contact.endpoint)
    gevent.sleep(2)
    assert node.stats()["calls_by_rpc"] == {"ping": 20}


def full(world: World) -> tuple[Node, list[ScriptedPeer]]:
    """A node with a full far bucket of two, a third contact for it, and one near by (so that
    the far bucket is not the own one, which would split)."""
    node = world.node(params=NO_UPKEEP.replace(k=2))
    peers = [world.peer(node_id=in_far_bucket(node.id, number)) for number in range(3)]
    peers.append(world.peer(node_id=from_int(to_int(node.id) ^ 1)))
    for peer in peers:
        peer.serve(always_pong)
    for peer in (peers[3], peers[0], peers[1]):
        node.ping(peer.contact)
    return node, peers


def test_full_bucket_of_fresh_contacts_causes_no_probe(world: World) -> None:
    node, peers = full(world)
    node.ping(peers[2].contact)
    assert probe_count(node) == 0
    gevent.sleep(10)
    assert [len(peer.requests) for peer in peers] == [1, 1, 1, 1]
    assert peers[2].contact not in node.table


def test_full_bucket_keeps_live_contacts(world: World) -> None:
    node, peers = full(world)
    gevent.sleep(1000)  # weakly, they count as dead now
    node.ping(peers[2].contact)
    gevent.sleep(RTT + 0.001)
    assert probe_count(node) == 0
    assert [len(peer.requests) for peer in peers] == [2, 1, 1, 1]  # the least recently seen
    assert {contact.id for contact in node.table} == {peers[n].id for n in (0, 1, 3)}


def test_replacement_takes_the_slot_of_a_dead_contact(world: World) -> None:
    node, peers = full(world)
    peers[0].close()
    gevent.sleep(1000)
    node.ping(peers[2].contact)
    rto = node.services.liveliness.rto_estimator.rto_for(peers[0].contact)
    gevent.sleep(3 * rto + 1)
    assert peers[0].contact in node.table
    gevent.sleep(0.1 * (3 * rto + 1) + 3 * TIMER_SLACK + 0.001)
    assert {contact.id for contact in node.table} == {peers[n].id for n in (1, 2, 3)}
    gevent.sleep(RTT)
    assert len(peers[2].requests) == 2  # probed when promoted


def test_replacement_of_a_changed_contact_is_probed(world: World) -> None:
    node, peers = full(world)
    node.ping(peers[2].contact)
    peers[2].close()
    gevent.sleep(1000)
    peers[0].id = in_far_bucket(node.id, 9)
    with pytest.raises(RpcTimeout):
        node.ping(peers[0].contact)
    gevent.sleep(20)
    assert {contact.id for contact in node.table} == {peers[n].id for n in (1, 3)}


def test_contact_that_is_late_twice_is_probed(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(ping_only_peer)
    node.ping(peer.contact)
    started_at = world.now
    assert node.find_node(node.id) == []
    assert world.now - started_at == approx_time(1)
    # The query was retransmitted once; then the contact was probed.
    assert requests_served(peer) == ["ping", "findnode", "findnode", "ping"]
    assert probe_count(node) == 0
    assert peer.contact in node.table


def test_dead_contacts_stay_quarantined_until_they_reply(world: World) -> None:
    node, responder, dead = world.alice, world.peer(), world.peer()
    responder.serve(
        lambda request: (
            b"li5ee" if request.name == b"ping" else b"ll%bee" % dead.contact.encoded_v10
        )
    )
    node.ping(responder.contact)
    assert not node.is_alive(dead.contact, strong=True)
    asked, started_at = node.stats()["calls_by_rpc"], world.now
    assert node.find_node(dead.id) == [responder.contact]  # the reported dead contact is skipped
    assert node.stats()["calls_by_rpc"] == asked | {"findnode": 1}
    assert world.now - started_at == pytest.approx(RTT)
    dead.serve(empty_v10_peer)
    dead.request(node.contact.endpoint, PING)
    gevent.sleep(3 * ONE_WAY + 0.001)
    assert dead.contact in node.table
    assert dead.contact in node.find_node(dead.id)


def test_dead_contacts_are_queried_again_after_quarantine(world: World) -> None:
    node, responder, dead = world.node(params=NO_UPKEEP), world.peer(), world.peer()
    responder.serve(
        lambda request: (
            b"li5ee" if request.name == b"ping" else b"ll%bee" % dead.contact.encoded_v10
        )
    )
    node.ping(responder.contact)
    assert not node.is_alive(dead.contact, strong=True)
    dead.serve(empty_v10_peer)
    gevent.sleep(node.params.dead_quarantine - 1)
    assert node.find_node(dead.id) == [responder.contact]
    gevent.sleep(1)
    assert node.find_node(dead.id) == [dead.contact, responder.contact]


def test_silent_contacts_are_probed_over_time(world: World) -> None:
    node = world.alice
    peers = [world.peer() for _ in range(5)]
    for peer in peers:
        peer.serve(empty_v10_peer)
        node.ping(peer.contact)
    gevent.sleep(20)  # the last neighbourhood refresh is over
    asked = [len(peer.requests) for peer in peers]
    peers[0].close()
    gevent.sleep(node.params.freshness_window - 40)
    assert [len(peer.requests) for peer in peers] == asked
    gevent.sleep(40 + 5 * 12 + 2)  # one per maintenance round
    assert {contact.id for contact in node.table} == {peer.id for peer in peers[1:]}
    assert all(requests_served(peer).count("ping") > 1 for peer in peers[1:])


def test_reprobing_dead_contacts_merges_networks(world: World) -> None:
    """Two networks whose nodes consider each other dead merge."""
    one, two = world.network(6), world.network(6)
    for node in one:
        for other in two[:3]:
            mark_dead(node, other.contact)
    gevent.sleep(30)
    assert all(len(node.table) == 11 for node in [*one, *two])
    one[0].add(b"k" * 20, b"v")
    assert two[5].find_value(b"k" * 20)


def test_partitioned_network_merges_after_healing(world: World) -> None:
    nodes = world.network(12)
    gevent.sleep(30)
    assert all(len(node.table) == 11 for node in nodes)
    world.net.partition([{node.contact.endpoint for node in nodes[:6]}])
    gevent.sleep(600)
    assert all(len(node.table) == 5 for node in nodes)
    world.net.heal()
    gevent.sleep(60)
    assert all(len(node.table) == 11 for node in nodes)


def test_version_of_unvalidated_sender_is_not_recorded(world: World) -> None:
    """Forged requests must not fill the record of v1.0 peers."""
    node, peer, forger = world.alice, world.peer(), world.peer()
    for number in range(5_000):
        stranger = from_int(number + 1)
        request = packets.encode_request(stranger, b"%08d" % number, b"d4:name4:ping4:argslee")
        forger.send(request, node.contact.endpoint)
    gevent.sleep(1)
    peer.serve(always_pong)
    node.ping(peer.contact)
    peer.request(node.contact.endpoint, b"d4:name4:ping4:argslee")
    gevent.sleep(1)
    assert node.services.liveliness.versions.is_v10(peer.contact)
    unknown = [Contact(*forger.contact.endpoint, from_int(n + 1)) for n in range(5_000)]
    assert not any(map(node.services.liveliness.versions.is_v10, unknown))
    # A validated peer cannot change the version of another.
    forger.serve(always_pong)
    node.ping(forger.contact)
    forger.send(packets.encode_request(peer.id, b"other-id", PING), node.contact.endpoint)
    gevent.sleep(1)
    assert node.services.liveliness.versions.is_v10(peer.contact)


def test_longest_unheard_v10_peers_are_forgotten(world: World) -> None:
    versions = world.alice.services.liveliness.versions
    peers = [Contact("192.0.2.1", 4000, from_int(number + 1)) for number in range(10_000)]
    for peer in peers:
        versions.mark_v10(peer.id)
        versions.mark_v10(peers[0].id)
    assert len(versions.v10_ids) == 4_096
    assert versions.is_v10(peers[-1])
    assert versions.is_v10(peers[0])
    assert not versions.is_v10(peers[1])


def test_unknown_senders_do_not_delay_probes_of_contacts(world: World) -> None:
    node, peer, forger = world.node(params=NO_UPKEEP), world.peer(), world.peer()
    peer.serve(always_pong)
    node.ping(peer.contact)
    peer.serve(lambda request: None)
    for number in range(1_000):
        stranger = from_int(to_int(peer.id) ^ number + 1)
        request = packets.encode_request(stranger, b"%08d" % number, PING)
        forger.send(request, node.contact.endpoint)
    gevent.sleep(ONE_WAY + 0.01)
    node.services.liveliness.on_timeout(peer.contact)
    gevent.sleep(30)
    assert peer.contact not in node.table
