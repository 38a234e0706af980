"""RTO per contact, raised while all replies are slow."""

import pytest

from kademlua import Contact, Node, Params
from kademlua.core.pending_calls import PendingCall
from tests.support.peers import always_pong
from tests.support.world import RTT, World

UNKNOWN = Contact("10.9.9.9", 9, b"x" * 20)


def measure(node: Node, contact: Contact, seconds: float, now: float = 1000.0) -> None:
    """Let a rto_estimator see an answer that took so long."""
    sent = now - seconds
    call = PendingCall(
        rpc_id=b"rpc-id-8",
        endpoint=contact.endpoint,
        contact=contact,
        name="ping",
        sent_at=sent,
        deadline=now,
        on_done=lambda *_: None,
    )
    node.services.liveliness.rto_estimator.on_reply(call, node.table.get_contact(contact), now)


def test_rto_follows_smoothed_rtt(world: World) -> None:
    node, peer = world.node(params=Params(rpc_timeout=5)), world.peer()
    rto_estimator = node.services.liveliness.rto_estimator
    assert rto_estimator.rto_for(UNKNOWN) == 5
    peer.serve(always_pong)
    node.ping(peer.contact)
    # One sample says little of the next: its deviation is taken for half of it.
    assert rto_estimator.rto_for(peer.contact) == pytest.approx(2 * RTT)
    for _ in range(20):
        node.ping(peer.contact)
    record = node.table.get(peer.id)
    assert record is not None
    assert record.rtt.srtt == pytest.approx(RTT)
    assert rto_estimator.rto_for(peer.contact) == pytest.approx(RTT, rel=0.01)
    # An unknown path is as patient as all paths together would have it.
    assert rto_estimator.rto_for(UNKNOWN) == pytest.approx(RTT, rel=0.01)


def test_rto_grows_while_all_replies_are_slow(world: World) -> None:
    node, seldom, often = world.alice, world.peer(), world.peer()
    for peer in (seldom, often):
        peer.serve(always_pong)
        for _ in range(30):
            node.ping(peer.contact)
    rto_estimator = node.services.liveliness.rto_estimator
    usual = rto_estimator.rto_for(seldom.contact)
    for _ in range(4):  # one contact shows it
        measure(node, often.contact, 5 * RTT)
    assert rto_estimator.rto_for(seldom.contact) > 1.5 * usual
    for _ in range(200):  # and once that is what is usual, it is over
        measure(node, often.contact, 5 * RTT)
    assert rto_estimator.rto_for(seldom.contact) == pytest.approx(usual, rel=0.05)


def test_one_slow_reply_does_not_raise_all_rtos(world: World) -> None:
    node, peer, other = world.alice, world.peer(), world.peer()
    for each in (peer, other):
        each.serve(always_pong)
        for _ in range(30):
            node.ping(each.contact)
    rto_estimator = node.services.liveliness.rto_estimator
    usual = rto_estimator.rto_for(UNKNOWN)
    usual_of_other = rto_estimator.rto_for(other.contact)
    measure(node, peer.contact, 1000 * RTT)
    assert rto_estimator.rto_for(other.contact) <= 1.5 * usual_of_other
    measure(node, peer.contact, RTT)
    assert rto_estimator.rto_for(UNKNOWN) >= usual


@pytest.mark.parametrize(("round_trip", "is_low"), [(0.001, True), (0.1, False)])
def test_low_latency_means_short_round_trips(world: World, round_trip: float, is_low: bool) -> None:
    node = world.node()
    rto_estimator = node.services.liveliness.rto_estimator
    assert not rto_estimator.is_low_latency  # nothing is known yet
    measure(node, UNKNOWN, round_trip)
    assert rto_estimator.is_low_latency == is_low


def test_rto_falls_to_a_millisecond_as_soon_as_replies_are_quick() -> None:
    world = World(1, one_way=0.0001)

    def test() -> None:
        node, quiet, other = world.alice, world.peer(), world.peer()
        for peer in (quiet, other):
            peer.serve(always_pong)
            node.ping(peer.contact)
        rto_estimator = node.services.liveliness.rto_estimator
        assert rto_estimator.rto_for(quiet.contact) == 0.001
        for _ in range(20):  # the machine is busy
            measure(node, quiet.contact, 0.01)
            measure(node, other.contact, 0.01)
        assert rto_estimator.rto_for(quiet.contact) >= 0.01
        for _ in range(5):  # the replies of one contact show that it is no more
            node.ping(other.contact)
        assert rto_estimator.rto_for(quiet.contact) < 0.002

    world.run(test)


def test_call_expires_between_minimum_and_timeout(world: World) -> None:
    rto_estimator = world.node(params=Params(rpc_timeout=1.5)).services.liveliness.rto_estimator
    assert [rto_estimator.timeout_for(each) for each in (0.001, 0.2, 1.0)] == [0.1, 0.8, 1.5]
    assert [rto_estimator.patient_timeout_for(each) for each in (0.001, 0.3, 1.0)] == [1, 1.2, 1.5]
