"""Handover: transferred values, leave notices and their validation."""

import gevent
import pytest

from kademlua import Node, NodeClosed, Params, sha1
from kademlua.core.ids import from_int
from kademlua.core.wire import packets, replies, requests
from tests.replication.test_replicator import FEW, KEY, by_distance, hand_in, holders, stores
from tests.support.peers import empty_v11_peer, ping_only_peer, requests_served
from tests.support.world import World

FAREWELL = packets.encode_request_payload(
    b"leave", requests.encode_leave_args(is_handed_over=True), read_only=False
)


def settled(world: World, count: int = 10) -> list[Node]:
    nodes = world.network(count, params=FEW)
    gevent.sleep(70)
    return nodes


def test_successor_gets_the_value_before_the_node_leaves(world: World) -> None:
    nodes = settled(world)
    nodes[0].add(KEY, b"v", ttl=1000)
    ordered = by_distance(nodes)
    before = stores(nodes)
    began = world.now
    ordered[1].close()
    assert world.now - began < 1
    assert holders(nodes) == [ordered[0], *ordered[2:5]]
    assert stores(nodes) - before == 1
    [(owner, entry)] = ordered[4].datastore.entries(KEY)
    assert owner == nodes[0].contact
    assert entry.expires_at - world.now < 1000


def test_handover_preserves_the_last_copies(world: World) -> None:
    """All holders leave one after the other; nobody has to notice anything."""
    nodes = settled(world)
    nodes[0].add(KEY, b"v")
    left = by_distance(nodes)
    for _ in range(8):
        left.pop(0).close()
        gevent.sleep(1)
    assert len(left) == 2
    assert holders(left)


def test_contacts_remove_a_leaving_node_immediately(world: World) -> None:
    nodes = settled(world)
    leaver = nodes[4]
    assert all(leaver.contact in node.table for node in nodes if node is not leaver)
    leaver.close()
    gevent.sleep(2)
    assert not any(leaver.contact in node.table for node in nodes)


def test_handed_over_value_is_not_transferred_again(world: World) -> None:
    nodes = settled(world)
    nodes[0].add(KEY, b"v")
    before = stores(nodes)
    by_distance(nodes)[1].close()
    gevent.sleep(500)
    assert stores(nodes) - before == 1


def test_node_without_time_for_handover_counts_as_dead(world: World) -> None:
    hasty = FEW.replace(handover_timeout=0)
    nodes = world.network(10, params=hasty)
    gevent.sleep(70)
    nodes[0].add(KEY, b"v")
    ordered = by_distance(nodes)
    ordered[1].close()
    assert len(holders(nodes)) == 3
    gevent.sleep(30)  # long before it would be missed
    assert holders(nodes) == [ordered[0], *ordered[2:5]]


def test_close_without_handover_sends_nothing(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    hand_in(world.peer(), node, 3000)
    began = world.now
    node.close(hand_over=False)
    gevent.sleep(1)
    assert world.now - began == 1
    assert "leave" not in requests_served(peer)
    assert "store" not in requests_served(peer)


def test_node_without_values_sends_only_leave_notices(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    began = world.now
    node.close()
    assert world.now == began
    gevent.sleep(1)
    [farewell] = [request for request in peer.requests if request.name == b"leave"]
    assert farewell.args == [1]


def test_client_sends_no_leave_notice(world: World) -> None:
    node, peer = world.node(read_only=True), world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    node.close()
    gevent.sleep(1)
    assert requests_served(peer) == ["ping"]


def test_handover_respects_its_timeout(world: World) -> None:
    """Of those who should take the values nobody does."""
    node = world.node(params=Params(handover_timeout=1))
    peer, owner = world.peer(KEY), world.peer()
    peer.serve(ping_only_peer)
    node.ping(peer.contact)
    for number in range(200):
        args = requests.encode_store_args(requests.StoreArguments(sha1(f"{number}"), b"1:v", 3000))
        owner.call(
            node.contact.endpoint, packets.encode_request_payload(b"store", args, read_only=False)
        )
    began = world.now
    node.close()
    assert world.now - began == pytest.approx(1)
    gevent.sleep(1)
    [farewell] = [request for request in peer.requests if request.name == b"leave"]
    assert farewell.args == [0]


def test_second_close_interrupts_handover(world: World) -> None:
    node, peer = world.alice, world.peer(KEY)
    peer.serve(ping_only_peer)
    node.ping(peer.contact)
    hand_in(world.peer(), node, 3000)
    leaving = gevent.spawn(node.close)
    gevent.sleep(0.3)
    node.close()
    assert not leaving.ready()
    assert not node.joined
    with pytest.raises(NodeClosed):
        node.find_value(KEY)
    node.close(hand_over=False)
    leaving.join(0.01)
    assert leaving.ready()
    node.wait_closed()


def test_leaving_node_refuses_stores(world: World) -> None:
    """What it would acknowledge now it could not hand over; but it still answers."""
    node, peer, asker = world.alice, world.peer(KEY), world.peer()
    peer.serve(ping_only_peer)
    node.ping(peer.contact)
    hand_in(asker, node, 3000)
    leaving = gevent.spawn(node.close)
    gevent.sleep(0.1)
    store = packets.encode_request_payload(
        b"store",
        requests.encode_store_args(requests.StoreArguments(KEY, b"1:w", 60)),
        read_only=False,
    )
    answer = asker.call(node.contact.endpoint, store)
    assert replies.decode_store_reply(packets.decode_values(answer.payload)) == (
        replies.REASON_LEAVING,
        0,
    )
    find = packets.encode_request_payload(
        b"findvalue", requests.encode_findvalue_args(KEY, 9), read_only=False
    )
    values = packets.decode_values(asker.call(node.contact.endpoint, find).payload)
    assert replies.decode_retval(values) == [b"v"]
    leaving.join()


# Who is believed.


def test_leave_notice_concerns_only_its_sender(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    # In its name and from its address, as whoever forges addresses can send it.
    peer.request(node.contact.endpoint, FAREWELL)
    gevent.sleep(5)
    assert peer.contact in node.table
    assert requests_served(peer)[1:] == ["ping"]


def test_leave_notice_from_another_address_is_ignored(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    other = world.peer(peer.id)  # its id, another address
    other.serve(empty_v11_peer)
    other.request(node.contact.endpoint, FAREWELL)
    world.peer().request(node.contact.endpoint, FAREWELL)
    gevent.sleep(5)
    assert peer.contact in node.table
    assert requests_served(peer) == ["ping"]


@pytest.mark.parametrize("args", [b"1:x", b"le"])
def test_invalid_leave_notice_is_refused(world: World, args: bytes) -> None:
    request = packets.encode_request_payload(b"leave", args, read_only=False)
    answer = world.peer().call(world.alice.contact.endpoint, request)
    assert answer.packet_type == packets.RPC_RAISED


def test_returning_node_is_known_again(world: World) -> None:
    nodes = settled(world)
    leaver = nodes[4]
    leaver.close()
    gevent.sleep(2)
    again = world.node(nodes[0], endpoint=leaver.contact.endpoint, id=leaver.id, params=FEW)
    again.wait_joined()
    gevent.sleep(40)
    others = [node for node in nodes if node is not leaver]
    assert all(again.contact in node.table for node in others)


def test_peers_without_the_rpc_are_not_told(world: World) -> None:
    node, old, new = world.alice, world.peer(), world.peer()
    for peer in (old, new):
        peer.serve(empty_v11_peer)
        node.ping(peer.contact)
    node.services.liveliness.versions.mark_v10(old.id)
    node.close()
    gevent.sleep(1)
    assert "leave" not in requests_served(old)
    assert "leave" in requests_served(new)


def test_leave_notices_do_not_fill_the_contact_pool(world: World) -> None:
    """Of senders that are validated or not, known or unknown."""
    node, forger = world.alice, world.peer()
    pool = node.services.context.pool
    before = len(pool)
    for number in range(1_000):
        forger.send(
            packets.encode_request(from_int(number + 1), b"%08d" % number, FAREWELL),
            node.contact.endpoint,
        )
    gevent.sleep(5)
    assert len(pool) <= before + 10
