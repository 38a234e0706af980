"""Calls: what is sent, what ends them, and that they block only who waits."""

from collections.abc import Callable

import gevent
import pytest

from kademlua import Node, Params, RpcFailed, RpcTimeout, TooManyCalls, sha1
from kademlua.core import protocol
from kademlua.core.protocol import Request
from tests.peers import Peer, until

Make = Callable[..., Node]
MakePeer = Callable[..., Peer]


def test_a_request_says_who_asks_and_what_it_speaks(make_node: Make, make_peer: MakePeer) -> None:
    peer = make_peer()
    for read_only in (False, True):
        node = make_node(read_only=read_only)
        caller = gevent.spawn(node.call, peer.contact, "some", 7, b"x", [{"a": 1}])
        request = peer.receive()
        assert isinstance(request, Request)
        assert request.sender_id == node.id
        assert request.name == b"some"
        assert request.args == [7, b"x", [{b"a": 1}]]
        assert request.version == 1
        assert request.read_only is read_only
        caller.kill()


def test_rpc_ids_do_not_repeat(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    seen: set[bytes] = set()
    peer.serve(lambda request: seen.add(request.rpc_id) or b"li5ee")
    for _ in range(100):
        node.ping(peer.contact)
    assert len(seen) == 100


@pytest.mark.parametrize("code", [130, 131])
def test_an_error_is_raised_with_its_code(make_node: Make, make_peer: MakePeer, code: int) -> None:
    node, peer = make_node(), make_peer()
    caller = gevent.spawn(node.call, peer.contact, "ping", timeout=5)
    request = peer.receive()
    peer.send(protocol.encode_error(peer.id, request.rpc_id, code), node.contact.endpoint)
    with pytest.raises(RpcFailed) as caught:
        caller.get(timeout=5)
    assert caught.value.code == code
    assert node.stats()["failed"] == 1


def test_silence_is_a_timeout(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    with pytest.raises(RpcTimeout, match="no answer to ping"):
        node.ping(peer.contact, timeout=0.05)
    with pytest.raises(TimeoutError):  # it is one of those too
        node.ping(peer.contact.endpoint, timeout=0.05)
    assert node.stats()["timeouts"] == 2
    assert node.stats()["calls_in_flight"] == 0


def test_deadlines_are_each_calls_own(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    ended: list[int] = []

    def call(number: int, timeout: float) -> None:
        with pytest.raises(RpcTimeout):
            node.ping(peer.contact, timeout=timeout)
        ended.append(number)

    calls = [gevent.spawn(call, n, timeout) for n, timeout in enumerate([0.6, 0.3, 30, 0.05])]
    gevent.joinall([calls[0], calls[1], calls[3]], timeout=10)
    assert ended == [3, 1, 0]
    calls[2].kill()


def test_a_call_given_up_leaves_nothing(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    with gevent.Timeout(0.05, False):
        node.ping(peer.contact, timeout=30)
    assert node.stats()["calls_in_flight"] == 0


def test_calls_in_flight_are_bounded(make_node: Make, make_peer: MakePeer) -> None:
    node = make_node(params=Params(max_calls=3, rpc_timeout=30))
    peer = make_peer()
    waiting = [gevent.spawn(node.ping, peer.contact) for _ in range(3)]
    until(lambda: node.stats()["calls_in_flight"] == 3)
    with pytest.raises(TooManyCalls):
        node.ping(peer.contact)
    for request in [peer.receive() for _ in range(3)]:
        answer = protocol.encode_response(peer.id, request.rpc_id, b"li5ee")
        peer.send(answer, node.contact.endpoint)
    gevent.joinall(waiting, timeout=5, raise_error=True)
    waiting = [gevent.spawn(node.ping, peer.contact)]
    until(lambda: node.stats()["calls_in_flight"] == 1)
    waiting[0].kill()


def test_what_cannot_be_sent_is_said_or_lost(make_node: Make) -> None:
    node = make_node()
    with pytest.raises(ValueError, match="65,475"):
        node.call(("127.0.0.1", 9), "ping", bytes(65_450))
    with pytest.raises(RpcTimeout):  # the system refuses it: lost, as on the way
        node.call(("255.255.255.255", 9), "ping", timeout=0.05)
    assert node.stats()["dropped"] == {"not sent": 1}


def test_a_slow_contact_frees_its_slot(
    make_network: Callable[..., list[Node]], make_peer: MakePeer
) -> None:
    params = Params(rpc_timeout=20, min_patience=0.05, alpha=1)
    nodes = make_network(10, params=params)
    asker, target = nodes[0], sha1("key")
    slow = make_peer(node_id=target)  # it is the first to be asked
    slow.serve(lambda request: b"li5ee" if request.name == b"ping" else None)
    for _ in range(10):
        asker.ping(slow.contact)
    with gevent.Timeout(10):  # far less than the call's own deadline
        asker.add(target, b"v")
