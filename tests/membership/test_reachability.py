"""Reachability: the node's external address, and whether unsolicited packets arrive."""

from __future__ import annotations

import itertools
import math

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.packets import Request, Response
from kademlua.simulation.network import addresses
from kademlua.simulation.network.conditions import NetworkConditions
from tests.support.peers import ScriptedPeer, empty_v10_peer
from tests.support.world import World

MANY = 60
"""Number of nodes; each knows only some of the others."""
FEW = Params(k=4, replicas=4)
"""Routing tables smaller than the network."""
SOON = 300.0
"""Seconds until a node knows whether it is reachable."""
NAT = 60.0


def public(number: int) -> tuple[str, int]:
    return addresses.public_address(number), 4000


def open_network(world: World, count: int = MANY) -> list[Node]:
    """Return nodes at public addresses, each in its own subnet."""
    first = world.node(endpoint=public(0), params=FEW)
    others = [world.node(first, endpoint=public(n), params=FEW) for n in range(1, count)]
    assert all(node.wait_joined(30) for node in others)
    gevent.sleep(30)
    return [first, *others]


def behind_nat(world: World, first: Node, params: Params = FEW) -> Node:
    world.net.enable_nat(public(1000), NAT)
    node = world.node(first, endpoint=public(1000), params=params)
    assert node.wait_joined(30)
    return node


def known_by(node: Node, others: list[Node]) -> int:
    return sum(node.contact in other.table for other in others)


def asked(node: Node, name: str) -> int:
    count: int = node.stats()["calls_by_rpc"].get(name, 0)
    return count


def test_reachable_node_stays_a_contact_and_learns_its_address(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = open_network(world)
    gevent.sleep(SOON)
    assert all(node.reachable is not False for node in nodes)
    assert sum(node.reachable is True for node in nodes) >= 0.9 * MANY
    assert not any(node.services.context.is_client for node in nodes)
    for node in nodes:
        assert node.services.context.status.external_address == node.contact.endpoint
    assert not caplog.records


def test_reachability_checks_cost_few_packets_per_hour(world: World) -> None:
    nodes = open_network(world)
    gevent.sleep(SOON)
    before = sum(node.stats()["calls_by_purpose"]["reach"] for node in nodes)
    gevent.sleep(3_600)
    calls = sum(node.stats()["calls_by_purpose"]["reach"] for node in nodes) - before
    assert 0 < calls / MANY < 25  # those for others included; fewer where more are unknown


def test_node_behind_nat_becomes_a_client_and_returns(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = open_network(world)
    node = behind_nat(world, nodes[0])
    gevent.sleep(10)
    assert known_by(node, nodes) > 0
    gevent.sleep(2 * SOON)  # at first a NAT is open for many: it sent to a third of all
    assert node.reachable is False
    assert node.stats()["reachable"] is False
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "a client until that changes" in record.message
    gevent.sleep(SOON)
    assert known_by(node, nodes) == 0
    node.add(sha1("key"), b"value")  # a client has all it needs
    assert nodes[7].find_value(sha1("key"))[0].values == [b"value"]

    world.net.enable_nat(public(1000), timeout=math.inf)
    for each in nodes:  # to which the NAT stays open
        node.ping(each.contact)
    gevent.sleep(4 * SOON)  # until they are no longer validated: they come uninvited
    assert node.reachable is True
    assert not node.services.context.is_client
    assert known_by(node, nodes) > 0
    assert len(caplog.records) == 1


def test_client_switch_can_be_disabled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    nodes = open_network(world)
    node = behind_nat(world, nodes[0], FEW.replace(client_if_unreachable=False))
    gevent.sleep(2 * SOON)
    assert node.reachable is False
    assert not node.services.context.is_client
    assert len(caplog.records) == 1


def test_fully_connected_network_gives_no_verdict(world: World) -> None:
    nodes = open_network(world, 5)
    gevent.sleep(7_200)
    assert all(node.reachable is not False for node in nodes)


def test_lost_packets_are_no_nat(world: World) -> None:
    nodes = open_network(world, 40)
    world.net.conditions = NetworkConditions(loss=0.05)
    for _ in range(8):
        gevent.sleep(900)
        assert all(node.reachable is not False for node in nodes)
    assert sum(node.reachable is True for node in nodes) >= 30


def test_nodes_at_private_addresses_send_no_reach_requests(world: World) -> None:
    nodes = world.network(30, params=FEW)
    gevent.sleep(7_200)
    for node in nodes:
        assert not {"reach", "reached", "getsocket"} & node.stats()["calls_by_rpc"].keys()
        assert node.reachable is None


def test_configured_client_sends_no_reach_requests(world: World) -> None:
    nodes = open_network(world, 20)
    client = world.node(nodes[0], endpoint=public(1000), params=FEW, read_only=True)
    gevent.sleep(SOON)
    assert client.reachable is None
    assert not asked(client, "reach")


def test_node_bound_to_all_addresses_uses_its_observed_address(world: World) -> None:
    node = world.alice
    node.services.context.transport.local_endpoint = ("0.0.0.0", 4000)  # type: ignore[misc]
    assert node.contact.endpoint == node.local_endpoint == ("0.0.0.0", 4000)
    node.services.context.status.external_address = ("203.0.113.7", 4001)
    assert node.contact == Contact("203.0.113.7", 4001, node.id)
    assert node.local_endpoint == ("0.0.0.0", 4000)
    # By the address that never changes it knows its own values.
    assert node.services.context.local_contact.endpoint == node.local_endpoint
    # Private: only the owner of a store request in the node's own name shows this.
    owner = node.services.store_handlers._parse_owner(node.contact.compact)
    assert owner == node.services.context.local_contact
    node.services.context.transport.local_endpoint = ("10.0.0.1", 4000)  # type: ignore[misc]
    assert node.contact.endpoint == ("10.0.0.1", 4000)


def test_helpers_with_false_addresses_are_outvoted(world: World) -> None:
    node = world.node(endpoint=public(0))
    for number in range(1, 7):
        is_liar = number % 3 == 0

        def answer(request: Request, is_liar: bool = is_liar) -> bytes:
            if request.name == b"getsocket":
                return replies.encode_getsocket_reply(*(("192.0.2.1", 1) if is_liar else public(0)))
            return empty_v10_peer(request)

        peer = world.peer(endpoint=public(number))
        peer.serve(answer)
        node.ping(peer.contact)
    gevent.sleep(SOON)
    assert node.services.context.status.external_address == public(0)


@pytest.mark.parametrize("answer", [b"le", b"li1ee", b"ldee", b"ld4:addr2:xx4:porti1eee"])
def test_invalid_helper_reply_is_counted(world: World, answer: bytes) -> None:
    node, peer = world.node(endpoint=public(0)), world.peer(endpoint=public(1))
    peer.serve(lambda request: answer if request.name == b"getsocket" else empty_v10_peer(request))
    node.ping(peer.contact)
    gevent.sleep(SOON)
    assert node.stats()["dropped"]["bad response"] >= 1
    assert node.services.context.status.external_address is None


# Serving reach requests.


def call(name: bytes, args: bytes = b"", *, read_only: bool = False) -> bytes:
    return packets.encode_request_payload(name, args, read_only=read_only)


def known(world: World, node: Node, number: int) -> ScriptedPeer:
    """Return a peer in the table of a node."""
    peer = world.peer(endpoint=public(number))
    peer.serve(empty_v10_peer)
    node.ping(peer.contact)
    peer.stop_serving()
    return peer


def asking(peer: ScriptedPeer, node: Node, args: bytes) -> bytes:
    return peer.call(node.contact.endpoint, call(b"reach", args)).payload


def test_helper_forwards_the_request_and_its_result(world: World) -> None:
    node = world.node(endpoint=public(0))
    asker, other = known(world, node, 1), known(world, node, 2)
    asker.request(node.contact.endpoint, call(b"reach"))
    request = other.receive()
    assert isinstance(request, Request)
    assert (request.name, request.args) == (b"reach", [asker.contact.compact])
    said = packets.encode_response(
        other.id, request.rpc_id, replies.encode_reach_reply(is_attempted=True)
    )
    other.send(said, node.contact.endpoint)
    answer = asker.receive()
    assert isinstance(answer, Response)
    assert replies.decode_reach_reply(packets.decode_values(answer.payload))


def test_helper_without_other_contacts_reports_no_attempt(world: World) -> None:
    node = world.node(endpoint=public(0))
    asker = known(world, node, 1)
    assert asking(asker, node, b"") == replies.encode_reach_reply(is_attempted=False)


def test_reach_target_gets_one_short_datagram(world: World) -> None:
    node = world.node(endpoint=public(0))
    asker, target = known(world, node, 1), world.peer(endpoint=public(3))
    args = requests.encode_reach_args(target.contact)
    assert asking(asker, node, args) == replies.encode_reach_reply(is_attempted=True)
    gevent.sleep(10)
    [datagram] = target.unread
    assert len(datagram) <= len(packets.encode_request(asker.id, b"rpc-id-8", call(b"reach", args)))
    request = packets.decode(datagram)
    assert isinstance(request, Request)
    assert (request.name, request.args) == (b"reached", [])


def test_private_and_repeated_reach_targets_are_refused(world: World) -> None:
    node = world.node(endpoint=public(0))
    asker = known(world, node, 1)
    for contact in (
        Contact("10.0.0.9", 80, sha1("x")),
        Contact("127.0.0.1", 80, sha1("x")),
        Contact("2001:db8::1", 80, sha1("x")),
        Contact(*public(3), node.id),
        asker.contact,
    ):
        args = requests.encode_reach_args(contact)
        assert asking(asker, node, args) == replies.encode_reach_reply(is_attempted=False)
    gevent.sleep(60)
    target = world.peer(endpoint=public(3))
    made = [asking(asker, node, requests.encode_reach_args(target.contact)) for _ in range(30)]
    assert made.count(replies.encode_reach_reply(is_attempted=True)) <= 14
    gevent.sleep(5)
    assert len(target.unread) <= 14


def test_askers_of_one_subnet_leave_dial_backs_to_others(world: World) -> None:
    node = world.node(endpoint=public(0))
    asker, other = known(world, node, 1), known(world, node, 2)
    targets = (
        requests.encode_reach_args(world.peer(endpoint=public(number)).contact)
        for number in itertools.count(3)  # a silent endpoint is dialled once in a minute
    )
    attempted = replies.encode_reach_reply(is_attempted=True)
    assert [asking(asker, node, next(targets)) for _ in range(10)].count(attempted) == 3
    assert asking(other, node, next(targets)) == attempted
    gevent.sleep(11)
    assert asking(asker, node, next(targets)) == attempted


def test_forged_sender_cannot_trigger_a_reach(world: World) -> None:
    node = world.node(endpoint=public(0))
    known(world, node, 1)
    target, stranger = world.peer(endpoint=public(3)), world.peer(endpoint=public(4))
    stranger.request(
        node.contact.endpoint, call(b"reach", requests.encode_reach_args(target.contact))
    )
    gevent.sleep(10)
    assert not target.unread
    assert node.stats()["deferred"] == {"no proof": 1}


def test_bad_arguments_are_refused(world: World) -> None:
    node = world.node(endpoint=public(0))
    asker = known(world, node, 1)
    for args in (b"le", b"i1e", b"3:abc", b"de"):
        packet = asker.call(node.contact.endpoint, call(b"reach", args))
        assert packet.packet_type == packets.RPC_RAISED
        gevent.sleep(11)


def test_unrequested_reached_is_ignored(world: World) -> None:
    node, peer = world.node(endpoint=public(0)), world.peer(endpoint=public(1))
    assert peer.call(node.contact.endpoint, call(b"reached")).payload == replies.REACHED_OK
    assert node.reachable is None


# Contacts that become clients.


def test_contact_that_becomes_a_client_leaves_the_table(world: World) -> None:
    node = world.alice
    peer = world.peer()
    peer.serve(empty_v10_peer)
    node.ping(peer.contact)
    assert peer.contact in node.table
    peer.serve(lambda request: replies.CLIENT_PONG)
    peer.request(node.contact.endpoint, call(b"ping", read_only=True))
    gevent.sleep(5)
    assert peer.contact not in node.table
    assert node.ping(peer.contact)
    assert peer.contact not in node.table


def test_forged_client_flag_is_ignored(world: World) -> None:
    node = world.alice
    peer = world.peer()
    peer.serve(empty_v10_peer)
    node.ping(peer.contact)
    peer.request(node.contact.endpoint, call(b"ping", read_only=True))  # it answers as before
    gevent.sleep(5)
    assert peer.contact in node.table


def test_client_flag_is_sent_to_v11_callers_only(world: World) -> None:
    client, peer = world.node(read_only=True), world.peer()
    at = client.contact.endpoint
    assert peer.call(at, call(b"ping")).payload == replies.CLIENT_PONG
    assert peer.call(at, b"d4:name4:ping4:argslee").payload == replies.PONG


@pytest.mark.parametrize(
    ("payload", "is_client"),
    [
        (replies.PONG, False),
        (replies.CLIENT_PONG, True),
        (b"li5ed1:ai1e2:roi1eee", True),
        (b"li5ed2:roi0eee", False),
        (b"li5eli1eee", False),
        (b"i5e", False),
        (b"le", False),
        (b"junk", False),
    ],
)
def test_client_flag_of_a_pong_is_read(payload: bytes, is_client: bool) -> None:
    assert replies.is_client_pong(payload) is is_client
