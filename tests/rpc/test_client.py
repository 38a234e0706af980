"""Outgoing calls: encoding, completion, and which greenlets they block."""

import gevent
import pytest

from kademlua import Params, RpcFailed, RpcTimeout, TooManyCalls, sha1
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request
from tests.support.peers import ping_only_peer
from tests.support.world import RTT, TIMER_SLACK, UNUSED_ENDPOINT, World, approx_time


def test_request_carries_sender_id_and_version(world: World) -> None:
    peer = world.peer()
    for read_only in (False, True):
        node = world.node(read_only=read_only)
        caller = gevent.spawn(node.call, peer.contact, "some", 7, b"x", [{"a": 1}])
        request = peer.receive()
        assert isinstance(request, Request)
        assert request.sender_id == node.id
        assert request.name == b"some"
        assert request.args == [7, b"x", [{b"a": 1}]]
        assert request.version == 1
        assert request.read_only is read_only
        caller.kill()


def test_rpc_ids_do_not_repeat(world: World) -> None:
    peer = world.peer()
    seen: set[bytes] = set()
    peer.serve(lambda request: seen.add(request.rpc_id) or b"li5ee")
    for _ in range(100):
        world.alice.ping(peer.contact)
    assert len(seen) == len(peer.requests) >= 100


def test_reply_ends_a_call(world: World) -> None:
    assert world.alice.ping(world.bob.contact).rtt == pytest.approx(RTT)
    assert world.now == pytest.approx(RTT)
    assert world.alice.stats()["calls_in_flight"] == 0


@pytest.mark.parametrize("code", [130, 131])
def test_an_error_is_raised_with_its_code(world: World, code: int) -> None:
    node, peer = world.alice, world.peer()
    caller = gevent.spawn(node.call, peer.contact, "ping")
    request = peer.receive()
    peer.send(packets.encode_error(peer.id, request.rpc_id, code), node.contact.endpoint)
    with pytest.raises(RpcFailed) as caught:
        caller.get()
    assert world.now == pytest.approx(RTT)
    assert caught.value.code == code
    assert node.stats()["failures"] == 1


def test_missing_reply_raises_timeout(world: World) -> None:
    node, peer = world.alice, world.peer()
    with pytest.raises(RpcTimeout, match="no reply to ping"):
        node.ping(peer.contact)
    assert world.now == approx_time(node.params.rpc_timeout)
    with pytest.raises(TimeoutError):  # it is one of those too
        node.ping(peer.contact.endpoint, timeout=0.5)
    assert world.now == approx_time(node.params.rpc_timeout + 0.5, timers=2)
    assert node.stats()["timeouts"] == 2
    assert node.stats()["calls_in_flight"] == 0


def test_each_call_has_its_own_deadline(world: World) -> None:
    ended: list[tuple[float, float]] = []

    def call(timeout: float) -> None:
        with pytest.raises(RpcTimeout):
            world.alice.ping(UNUSED_ENDPOINT, timeout=timeout)
        ended.append((timeout, world.now))

    calls = [gevent.spawn(call, timeout) for timeout in (0.6, 0.3, 30, 0.05)]
    gevent.joinall(calls)
    assert ended == [(timeout, approx_time(timeout)) for timeout in (0.05, 0.3, 0.6, 30)]


def test_deadlines_near_each_other_end_together(world: World) -> None:
    """One turn of the timer serves them, and none ends before its time."""
    ended: list[float] = []

    def call(timeout: float) -> None:
        with pytest.raises(RpcTimeout):
            world.alice.ping(UNUSED_ENDPOINT, timeout=timeout)
        ended.append(world.now)

    gevent.joinall([gevent.spawn(call, 1 + number * TIMER_SLACK / 4) for number in range(4)])
    assert ended == [approx_time(1 + TIMER_SLACK)] * 4
    assert len(set(ended)) == 1


def test_cancelled_call_leaves_no_state(world: World) -> None:
    with gevent.Timeout(0.05, False):
        world.alice.ping(UNUSED_ENDPOINT, timeout=30)
    assert world.now == 0.05
    assert world.alice.stats()["calls_in_flight"] == 0


def test_calls_in_flight_are_bounded(world: World) -> None:
    node = world.node(params=Params(max_calls=3, rpc_timeout=30))
    peer = world.peer()
    waiting = [gevent.spawn(node.ping, peer.contact) for _ in range(3)]
    requests = [peer.receive() for _ in range(3)]
    assert node.stats()["calls_in_flight"] == 3
    with pytest.raises(TooManyCalls):
        node.ping(peer.contact)
    for request in requests:
        answer = packets.encode_response(peer.id, request.rpc_id, b"li5ee")
        peer.send(answer, node.contact.endpoint)
    gevent.joinall(waiting, raise_error=True)
    assert world.now == pytest.approx(RTT)
    again = gevent.spawn(node.ping, peer.contact)
    peer.receive()
    assert node.stats()["calls_in_flight"] == 1
    again.kill()


def test_send_failure_is_raised_or_lost(world: World) -> None:
    with pytest.raises(ValueError, match="65,475"):
        world.alice.call(UNUSED_ENDPOINT, "ping", bytes(65_450))
    with pytest.raises(RpcTimeout):  # the system refuses it: lost, as on the way
        world.alice.call(("fd00::1", 9), "ping", timeout=0.05)
    assert world.alice.stats()["dropped"] == {"not sent": 1}


def test_a_slow_contact_frees_its_slot(world: World) -> None:
    nodes = world.network(10, params=Params(rpc_timeout=20, alpha=1))
    asker, target = nodes[0], sha1("key")
    slow = world.peer(node_id=target)  # it is the first to be asked
    slow.serve(ping_only_peer)
    for _ in range(10):
        asker.ping(slow.contact)
    began = world.now
    asker.add(target, b"v")
    # It is waited for until it is late the second time, and not for the 20 s of a call.
    assert world.now - began < 10 * RTT
