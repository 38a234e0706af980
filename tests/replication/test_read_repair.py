"""Read repair of missing replicas, and caching on the lookup path."""

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.ids import to_int
from kademlua.core.wire import packets, replies, requests
from tests.replication.test_replicator import FEW, KEY, by_distance, hand_in, holders, stores
from tests.support.parts import replicator_of
from tests.support.peers import ScriptedPeer, empty_v11_peer, requests_served
from tests.support.world import World


def network(world: World, count: int = 10, **params: object) -> list[Node]:
    """One in which a value lives, and nothing changes any more; the nearest to it first."""
    nodes = world.network(count, params=FEW.replace(**params))
    gevent.sleep(70)
    nodes[0].add(KEY, b"v", ttl=10_000)
    return by_distance(nodes)


def lose(node: Node) -> None:
    [(owner, _)] = node.datastore.entries(KEY)
    node.datastore.remove(KEY, owner)


def calls(nodes: list[Node], name: str) -> int:
    return sum(node.stats()["calls_by_rpc"].get(name, 0) for node in nodes)


def test_missing_replica_gets_the_value(world: World) -> None:
    nodes = network(world)
    [(owner, _)] = nodes[0].datastore.entries(KEY)
    gevent.sleep(100)
    lose(nodes[1])
    before = stores(nodes)
    assert nodes[9].find_value(KEY)
    gevent.sleep(2)
    assert holders(nodes) == nodes[:4]
    [(again, entry)] = nodes[1].datastore.entries(KEY)
    assert (again, entry.from_owner) == (owner, owner == nodes[1].contact)
    assert entry.expires_at <= nodes[0].datastore.entries(KEY)[0][1].expires_at
    assert stores(nodes) - before == 1
    assert calls(nodes, "lacks") == 1


def test_reader_with_the_value_transfers_it(world: World) -> None:
    nodes = network(world)
    lose(nodes[0])
    assert nodes[1].find_value(KEY)
    gevent.sleep(2)
    assert holders(nodes) == nodes[:4]
    assert calls(nodes, "lacks") == 0


def test_no_lacks_request_if_nothing_is_missing(world: World) -> None:
    nodes = network(world)
    for node in nodes:
        assert node.find_value(KEY)
    assert calls(nodes, "lacks") == 0


def lacks(peer: ScriptedPeer, node: Node, *lacking: bytes, cache: Contact | None = None) -> int:
    """Tell a node that these lack the key; how many it will give it to."""
    contacts = [Contact("192.0.2.1", 1, each) for each in lacking]
    args = requests.encode_lacks_args(KEY, contacts, cache)
    answer = peer.call(
        node.contact.endpoint, packets.encode_request_payload(b"lacks", args, read_only=False)
    )
    [count] = packets.decode_values(answer.payload)
    assert isinstance(count, int)
    return count


def test_only_responsible_nodes_get_the_value(world: World) -> None:
    nodes, peer = network(world), world.peer()
    before = stores(nodes)
    assert lacks(peer, nodes[0], nodes[9].id, b"x" * 20, nodes[0].id) == 0
    assert lacks(peer, nodes[9], nodes[1].id) == 0  # it has nothing to give
    gevent.sleep(20)
    assert stores(nodes) == before


def test_repeated_lacks_request_is_ignored_for_five_minutes(world: World) -> None:
    nodes, peer = network(world), world.peer()
    assert lacks(peer, nodes[0], nodes[1].id, nodes[2].id) == 2
    assert lacks(peer, nodes[0], nodes[1].id) == 0
    gevent.sleep(301)
    assert lacks(peer, nodes[0], nodes[1].id) == 1


def test_lacks_requests_do_not_overfill_the_queue(world: World) -> None:
    nodes, peer = network(world), world.peer()
    pending = replicator_of(nodes[0]).pending_transfers
    for number in range(256):
        pending[sha1(f"{number}")] = {}
    assert lacks(peer, nodes[0], nodes[1].id) == 0
    pending.clear()
    assert lacks(peer, nodes[0], nodes[1].id) == 1


def test_v10_peer_is_not_counted_because_it_gets_nothing(world: World) -> None:
    nodes, peer = network(world), world.peer()
    nodes[0].services.liveliness.versions.mark_v10(nodes[1].id)
    assert lacks(peer, nodes[0], nodes[1].id, nodes[2].id) == 1


@pytest.mark.parametrize(
    "args",
    [
        b"",
        b"20:" + KEY,
        b"20:" + KEY + b"i1e",
        b"3:key20:" + KEY,
        b"20:" + KEY + b"0:9:localhost",
        b"20:" + KEY + b"0:i1e",
    ],
)
def test_invalid_arguments_are_refused(world: World, args: bytes) -> None:
    request = packets.encode_request_payload(b"lacks", args, read_only=False)
    answer = world.peer().call(world.alice.contact.endpoint, request)
    assert answer.packet_type == packets.RPC_RAISED


# Caches.


def test_values_are_cached_only_if_configured(world: World) -> None:
    nodes, peer = network(world), world.peer()
    peer.serve(empty_v11_peer)
    lacks(world.peer(), nodes[0], cache=peer.contact)
    gevent.sleep(20)
    assert peer.requests == []
    assert nodes[9].find_value(KEY)
    assert holders(nodes) == nodes[:4]


def with_caches(world: World) -> tuple[Node, ScriptedPeer, ScriptedPeer]:
    """A node that holds a value, the one that would take its place, and one farther."""
    params = Params(replicas=1, cache_ttl=400)
    node = world.node(params=params, id=at_distance(1 << 99))
    holder, far = world.peer(at_distance(1 << 100)), world.peer(at_distance(1 << 102))
    for peer in (holder, far):
        peer.serve(empty_v11_peer)
    hand_in(world.peer(), node, 3000)
    node.ping(holder.contact)
    gevent.sleep(15)
    return node, holder, far


def at_distance(distance: int) -> bytes:
    return (to_int(KEY) ^ distance).to_bytes(20, "big")


def test_cache_ttl_shrinks_with_distance(world: World) -> None:
    node, _, far = with_caches(world)
    assert lacks(world.peer(), node, cache=far.contact) == 0
    gevent.sleep(5)
    assert requests_served(far) == ["ping", "store"]  # nothing is sent to who does not answer
    store = far.requests[-1]
    assert store.args[4] == 50  # eight times as far as the last holder
    assert set(store.args[5]) == {b"owner"}


def test_a_cache_that_does_not_answer_is_sent_nothing(world: World) -> None:
    node, _, far = with_caches(world)
    far.serve(lambda request: None)
    lacks(world.peer(), node, cache=far.contact)
    gevent.sleep(20)
    assert set(requests_served(far)) == {"ping"}


def test_closest_node_without_the_value_caches_it(world: World) -> None:
    """As the reader sees it, in a network of which it knows one node, and this one others."""
    node, near, far = with_caches(world)
    far.serve(
        lambda request: (
            empty_v11_peer(request)
            if request.name in (b"ping", b"store")
            else replies.encode_findnode_reply([node.contact], 1)
        )
    )
    reader = world.node(far.contact.endpoint, params=Params(replicas=1, cache_ttl=400))
    reader.wait_joined()
    reader.table.remove(node.contact)
    assert reader.find_value(KEY, max_nodes=1)[0].values == [b"v"]
    gevent.sleep(5)
    assert "store" in requests_served(near)
    assert "store" not in requests_served(far)


def test_cached_value_keeps_its_remaining_ttl(world: World) -> None:
    node, _, far = with_caches(world)
    gevent.sleep(2970 - world.now)
    lacks(world.peer(), node, cache=far.contact)
    gevent.sleep(2)
    assert far.requests[-1].args[4] < 50


def test_invalid_contact_is_refused(world: World) -> None:
    node, _, _ = with_caches(world)
    request = packets.encode_request_payload(
        b"lacks", requests.encode_lacks_args(sha1("k"), []) + b"3:abc", read_only=False
    )
    assert world.peer().call(node.contact.endpoint, request).packet_type == packets.RPC_RAISED
