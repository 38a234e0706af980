"""Incoming packets: a reply counts only if rpc id, address, port and id agree."""

import bencoder
import gevent
import pytest

from kademlua import Node, RpcTimeout, WireError, sha1
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Request
from tests.support.peers import ScriptedPeer
from tests.support.world import ONE_WAY, World, approx_time

KEY = sha1("key")


def begin(node: Node, peer: ScriptedPeer) -> tuple[gevent.Greenlet, Request]:
    caller = gevent.spawn(node.call, peer.contact, "ping")
    request = peer.receive()
    assert isinstance(request, Request)
    return caller, request


def end(node: Node, peer: ScriptedPeer, caller: gevent.Greenlet, request: Request) -> None:
    """The right answer still counts, and counts once."""
    assert not caller.ready()
    right = packets.encode_response(peer.id, request.rpc_id, b"li5ee")
    peer.send(right, node.contact.endpoint)
    assert caller.get() == [5]
    peer.send(right, node.contact.endpoint)


@pytest.mark.parametrize("elsewhere", [("10.0.0.9", 4000), ("10.0.0.2", 4001)])
def test_a_response_from_elsewhere(world: World, elsewhere: tuple[str, int]) -> None:
    """From another address, or another port of the right one."""
    node, peer, liar = (
        world.alice,
        world.peer(endpoint=("10.0.0.2", 4000)),
        world.peer(endpoint=elsewhere),
    )
    caller, request = begin(node, peer)
    liar.send(packets.encode_response(peer.id, request.rpc_id, b"li6ee"), node.contact.endpoint)
    assert liar.ping_succeeds(node.contact.endpoint)
    end(node, peer, caller, request)
    assert node.stats()["dropped"] == {"response from another endpoint": 1}


def test_a_response_of_another_id(world: World) -> None:
    node, peer = world.alice, world.peer()
    caller, request = begin(node, peer)
    peer.send(packets.encode_response(b"x" * 20, request.rpc_id, b"li6ee"), node.contact.endpoint)
    gevent.sleep(2 * ONE_WAY)
    end(node, peer, caller, request)
    assert node.stats()["dropped"] == {"response from another id": 1}


def test_a_response_that_is_late_or_comes_twice(world: World) -> None:
    node, peer = world.alice, world.peer()
    caller = gevent.spawn(node.call, peer.contact, "ping", timeout=0.5)
    late = peer.receive()
    with pytest.raises(RpcTimeout):
        caller.get()
    assert world.now == approx_time(0.5)
    peer.send(packets.encode_response(peer.id, late.rpc_id, b"li5ee"), node.contact.endpoint)
    end(node, peer, *begin(node, peer))
    gevent.sleep(2 * ONE_WAY)
    assert node.stats()["dropped"] == {"unexpected response": 2}


@pytest.mark.parametrize("payload", [b"", b"i5e", b"x", b"l" * 70 + b"e" * 70])
def test_a_response_that_is_unreadable(world: World, payload: bytes) -> None:
    node, peer = world.alice, world.peer()
    caller, request = begin(node, peer)
    peer.send(packets.encode_response(peer.id, request.rpc_id, payload), node.contact.endpoint)
    with pytest.raises(WireError):
        caller.get()


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [5],
        [[b"x"]],
        [[[b"localhost", 80, b"i" * 20]]],
        [[[b"127.0.0.1", 0, b"i" * 20]]],
        [[[b"127.0.0.1", 2**64, b"i" * 20]]],
        [[[b"127.0.0.1", 80, b"i" * 19]]],
        [{b"closest": b"x" * 27}],
        [{b"closest": [[]]}],
        [{b"closest": 7}],
        [{b"closest": b"x" * 24 + b"\0\0"}],
    ],
)
def test_a_lookup_passes_over_nonsense(world: World, answer: list[object]) -> None:
    nodes, peer = world.network(5), world.peer()
    encoded = bencoder.bencode(answer)
    peer.serve(lambda request: b"li5ee" if request.name == b"ping" else encoded)
    nodes[0].ping(peer.contact)
    nodes[0].add(KEY, b"v")
    found = nodes[0].find_node(KEY)
    assert {contact.id for contact in found} == {node.id for node in nodes[1:]}
    assert nodes[0].find_value(KEY)


def test_its_own_id_from_elsewhere_is_dropped(world: World) -> None:
    node = world.alice
    mirror = world.peer(node_id=node.id)
    mirror.request(
        node.contact.endpoint, packets.encode_request_payload(b"ping", b"", read_only=False)
    )
    gevent.sleep(2 * ONE_WAY)
    assert node.stats()["dropped"] == {"own id": 1}
    assert len(node.table) == 0


# Two nodes with the same id.


def namesake_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "has this node's id" in message]


def test_both_nodes_with_the_same_id_log_it_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    one = world.node(id=b"i" * 20)
    two = world.node(one, id=b"i" * 20)
    gevent.sleep(300)
    addresses = [f"{node.contact.addr}:{node.contact.port}" for node in (two, one)]
    assert [message.split()[3] for message in namesake_warnings(caplog)] == [
        f"{address}," for address in addresses
    ]
    assert two.stats()["dropped"]["own id"] > 1


def test_each_address_with_the_same_id_is_logged_up_to_a_limit(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    node = world.alice
    ping = packets.encode_request_payload(b"ping", b"", read_only=False)
    for number in range(1, 101):
        peer = world.peer(node.id, endpoint=("10.9.0.1", number))
        peer.request(node.contact.endpoint, ping)
        peer.request(node.contact.endpoint, ping)
    gevent.sleep(1)
    assert len(namesake_warnings(caplog)) == 64


def test_forged_response_with_the_own_id_is_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    node, peer = world.alice, world.peer()
    peer.send(packets.encode_response(node.id, b"12345678", b"le"), node.contact.endpoint)
    gevent.sleep(1)
    assert node.stats()["dropped"] == {"own id": 1}
    assert not namesake_warnings(caplog)


def test_node_that_calls_itself_logs_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    node = world.alice
    with pytest.raises(RpcTimeout):
        node.call(node.contact.endpoint, "ping")
    assert not namesake_warnings(caplog)


def test_dropped_datagram_is_logged_at_level_debug(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    node, peer = world.alice, world.peer()
    caplog.set_level("INFO", "kademlua.node")
    peer.send(b"\x07" * 40, node.contact.endpoint)
    gevent.sleep(1)
    assert not caplog.records
    caplog.set_level("DEBUG", "kademlua.node")
    peer.send(b"\x07" * 40, node.contact.endpoint)
    gevent.sleep(1)
    messages = [record.getMessage() for record in caplog.records]
    source = f"{peer.contact.addr}:{peer.contact.port}"
    assert messages == [f"dropped a datagram from {source}: unknown version"]
    assert node.stats()["dropped"] == {"unknown version": 2}
