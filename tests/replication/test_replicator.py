"""Replication: recipients, senders, intervals and release."""

from collections import Counter

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.ids import to_int
from kademlua.core.wire import packets, replies, requests
from tests.support.parts import replicator_of
from tests.support.peers import ScriptedPeer, empty_v11_peer, requests_served
from tests.support.world import World

KEY = sha1("key")
OTHER = Contact("192.0.2.9", 4000, b"o" * 20)
TICK = 13
"""Seconds that one maintenance round takes at most, including jitter."""
FEW = Params(replicas=4)


def holders(nodes: list[Node], key: bytes = KEY) -> list[Node]:
    """Who holds a key, the nearest first."""
    held = [node for node in nodes if node.joined and node.datastore.entries(key)]
    return by_distance(held, key)


def by_distance(nodes: list[Node], key: bytes = KEY) -> list[Node]:
    return sorted(nodes, key=lambda node: to_int(node.id) ^ to_int(key))


def vanish(world: World, node: Node) -> None:
    """Without a word."""
    world.net.partition([{node.contact.endpoint}])
    node.close(hand_over=False)
    world.net.heal()


def stores(nodes: list[Node]) -> int:
    return sum(node.stats()["calls_by_rpc"].get("store", 0) for node in nodes)


def test_new_closest_node_gets_the_value_once(world: World) -> None:
    nodes = world.network(6, params=FEW)
    nodes[0].add(KEY, b"v", ttl=1000)
    gevent.sleep(70)
    before = stores(nodes)
    near = bytes([KEY[0], KEY[1] ^ 1]) + KEY[2:]
    newcomer = world.node(nodes[0], id=near, params=FEW)
    newcomer.wait_joined()
    gevent.sleep(2 * TICK)
    [(owner, entry)] = newcomer.datastore.entries(KEY)
    assert (owner, entry.encoded, entry.from_owner) == (nodes[0].contact, b"1:v", False)
    assert 900 < entry.expires_at - world.now < 1000 - 70
    assert stores(nodes) - before == 1


def test_distant_new_node_gets_no_value(world: World) -> None:
    nodes = world.network(6, params=FEW)
    nodes[0].add(KEY, b"v")
    gevent.sleep(70)
    before = stores(nodes)
    world.node(nodes[0], id=bytes([KEY[0] ^ 255]) + KEY[1:], params=FEW)
    gevent.sleep(60)
    assert stores(nodes) == before


def test_next_closest_node_replaces_a_dead_replica(world: World) -> None:
    nodes = world.network(10, params=FEW)
    nodes[0].add(KEY, b"v")
    gevent.sleep(70)
    ordered = by_distance(nodes)
    assert holders(nodes) == ordered[:4]
    before = stores(nodes)
    vanish(world, ordered[2])
    gevent.sleep(400)  # until it counts as dead
    left = [node for node in ordered if node is not ordered[2]]
    assert holders(left) == left[:4]
    assert stores(left) - before == 1


def test_next_closest_replica_replicates_if_the_closest_dies(world: World) -> None:
    nodes = world.network(10, params=FEW)
    nodes[0].add(KEY, b"v")
    gevent.sleep(70)
    ordered = by_distance(nodes)
    vanish(world, ordered[0])
    gevent.sleep(400)
    assert holders(ordered[1:]) == ordered[1:5]


def test_one_replica_republishes_to_all_each_hour(world: World) -> None:
    nodes = world.network(8, params=FEW)
    gevent.sleep(2 * TICK)
    nodes[0].add(KEY, b"v")
    ordered = by_distance(nodes)
    # Two lost it; only the round can mend that, since nobody came or went.
    for node in ordered[1:3]:
        node.datastore.remove(KEY, nodes[0].contact)
    before = stores(nodes)
    gevent.sleep(0.75 * 3600)
    assert len(holders(nodes)) == 2
    gevent.sleep(0.5 * 3600)
    assert holders(nodes) == ordered[:4]
    assert stores(nodes) - before == 3  # the others skip their turn
    gevent.sleep(3600)
    assert 6 <= stores(nodes) - before <= 9


def test_node_that_is_no_replica_transfers_and_releases(world: World) -> None:
    nodes = world.network(10, params=FEW)
    ordered = by_distance(nodes)
    far, peer = ordered[-1], world.peer()
    args = requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 7200))
    peer.call(far.contact.endpoint, packets.encode_request_payload(b"store", args, read_only=False))
    peer.close()
    gevent.sleep(1200)
    assert far not in holders(nodes)
    assert set(ordered[:1]) <= set(holders(nodes))
    gevent.sleep(2 * 3600 - world.now - 600)
    assert holders(nodes) == ordered[:4]
    for node in ordered[:4]:
        [(owner, entry)] = node.datastore.entries(KEY)
        assert owner == peer.contact
        assert not entry.from_owner


def test_value_is_released_only_after_transfer(world: World) -> None:
    node = world.node(params=Params(replicas=1, replicate_interval=600))
    unwilling = world.peer(KEY[:10] + b"x" * 10)
    refuses = replies.encode_refused_reply("no room for more values")
    unwilling.serve(
        lambda request: refuses if request.name == b"store" else empty_v11_peer(request)
    )
    hand_in(world.peer(), node, 3000)
    node.ping(unwilling.contact)
    gevent.sleep(900)
    assert "store" in requests_served(unwilling)
    assert node.datastore.entries(KEY)
    unwilling.serve(empty_v11_peer)
    gevent.sleep(400)
    assert not node.datastore.entries(KEY)


def hand_in(peer: ScriptedPeer, node: Node, ttl: int, owner: Contact | None = None) -> None:
    args = requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", ttl, owner=owner))
    answer = peer.call(
        node.contact.endpoint, packets.encode_request_payload(b"store", args, read_only=False)
    )
    assert answer.payload == replies.STORE_OK


def test_replicated_value_keeps_owner_and_remaining_ttl(world: World) -> None:
    node, receiver, owner = world.alice, world.peer(KEY), world.peer()
    receiver.serve(empty_v11_peer)
    hand_in(owner, node, 1000)
    gevent.sleep(100)
    node.ping(receiver.contact)
    gevent.sleep(TICK)
    [store] = [request for request in receiver.requests if request.name == b"store"]
    key, value, overwrite, token, ttl, fields = store.args
    assert (key, value, overwrite, token) == (KEY, b"v", 0, b"")
    assert fields == {b"owner": owner.contact.compact}
    assert 1000 - 100 - TICK - 1 <= ttl <= 900


def test_own_value_is_transferred_with_its_owner_and_sequence_number(world: World) -> None:
    node, receiver = world.alice, world.peer(KEY)
    receiver.serve(empty_v11_peer)
    node.add(KEY, b"v", ttl=1000)
    node.ping(receiver.contact)
    gevent.sleep(TICK)
    [(_, entry)] = node.datastore.entries(KEY)
    [store] = [request for request in receiver.requests if request.name == b"store"]
    assert store.args[5] == {b"owner": node.contact.compact, b"seq": entry.seq}


def test_forged_own_value_is_not_replicated_as_direct(world: World) -> None:
    """Else anybody could replace its values at those who had them from itself."""
    node, receiver = world.alice, world.peer(KEY)
    receiver.serve(empty_v11_peer)
    hand_in(world.peer(), node, 1000, node.contact)
    node.ping(receiver.contact)
    gevent.sleep(TICK)
    [store] = [request for request in receiver.requests if request.name == b"store"]
    assert store.args[5] == {b"owner": node.contact.compact}


def test_replica_cannot_remove_the_value(world: World) -> None:
    """By the word that its owner did, which is believed of most of those who should hold it."""
    nodes = world.network(6, params=FEW)
    nodes[0].add(KEY, b"v")
    before = holders(nodes)
    liar = world.peer(KEY)
    removed = replies.encode_refused_reply(replies.REASON_REMOVED)
    liar.serve(lambda request: removed if request.name == b"store" else empty_v11_peer(request))
    for node in before:
        node.ping(liar.contact)
    gevent.sleep(100)
    for node in before:
        args = requests.encode_lacks_args(KEY, [liar.contact])
        world.peer().call(
            node.contact.endpoint, packets.encode_request_payload(b"lacks", args, read_only=False)
        )
    gevent.sleep(TICK)
    assert "store" in requests_served(liar)
    assert holders(nodes) == before


@pytest.mark.parametrize("is_known_by", ["request", "answer"])
def test_v10_peer_gets_only_own_values(world: World, is_known_by: str) -> None:
    """It would keep the values of others as ours."""
    node, receiver = world.alice, world.peer(KEY)
    if is_known_by == "request":
        ping = b"d4:name4:ping4:argslee"
        receiver.call(node.contact.endpoint, ping)
    receiver.serve(
        lambda request: {b"store": b"li1ee", b"ping": b"li5ee"}.get(request.name, b"llee")
    )
    hand_in(world.peer(), node, 5000)
    node.add(KEY, b"own")
    node.ping(receiver.contact)
    node.find_node(KEY)
    gevent.sleep(TICK)
    got = [request.args[1] for request in receiver.requests if request.name == b"store"]
    assert set(got) == {b"own"}


def test_ttl_never_grows_in_replication(world: World) -> None:
    """A value that is handed on from one to the next, each time to a new nearest node."""
    first = world.node(params=Params(replicas=1))
    hand_in(world.peer(), first, 300)
    began = world.now
    nodes, ends = [first], []
    for number in range(1, 11):
        at = KEY[:number] + bytes([KEY[number] ^ 128]) + KEY[number + 1 :]
        nodes.append(world.node(nodes[-1], id=at, params=Params(replicas=2)))
        gevent.sleep(20)
        ends += [entry.expires_at - began for _, entry in nodes[-1].datastore.entries(KEY)]
    assert len(ends) >= 8
    assert max(ends) <= 300.1
    assert min(ends) > 285


def test_node_without_values_replicates_nothing(world: World) -> None:
    nodes = world.network(5)
    gevent.sleep(30)
    vanish(world, nodes[3])
    gevent.sleep(300)
    assert stores(nodes) == 0
    assert not any(replicator_of(node).pending_transfers for node in nodes)


def test_bytes_are_paced(world: World) -> None:
    """A hundred large values for a newcomer take the time that they may take."""
    params = Params(replication_bytes_per_second=20_000)
    node = world.node(params=params)
    for number in range(100):
        node.add(sha1(f"key {number}"), bytes(2_000), ttl=3000)
    newcomer = world.node(node, params=params)
    newcomer.wait_joined()
    gevent.sleep(TICK)
    counts = Counter[int]()
    for second in range(14):
        counts[second] = len(newcomer.datastore)
        gevent.sleep(1)
    assert len(newcomer.datastore) == 100
    steps = [counts[second + 1] - counts[second] for second in range(13)]
    assert max(steps) <= 20
