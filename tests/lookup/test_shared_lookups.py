"""Operations of one node share what their lookups met, also those at the same time."""

from __future__ import annotations

import gevent
from gevent.pool import Pool

from kademlua import Node, Params, sha1
from kademlua.core.ids import from_int, xor
from tests.support.world import RTT, World

NODES = 120
REPLICAS = 8


def busy_network(world: World) -> list[Node]:
    """A network that is too large for routing tables; its nodes know its size."""
    nodes = world.network(NODES, params=Params(replicas=REPLICAS, k=8))
    gevent.sleep(600)
    assert len(nodes[-1].table) < NODES / 2
    return nodes


def add_many(node: Node, name: str, count: int, concurrency: int = 1) -> float:
    """Add values under keys of their own, and return the number of requests for each."""
    before = sum(node.stats()["calls_by_rpc"].values())
    pool = Pool(concurrency)
    for report in pool.imap_unordered(
        lambda number: node.add(sha1(f"{name} {number}"), b"v"), range(count)
    ):
        assert len(report.acknowledged) == REPLICAS
    return (sum(node.stats()["calls_by_rpc"].values()) - before) / count


def test_adds_of_a_busy_node_cost_little_more_than_their_stores(world: World) -> None:
    """They take 9.8 requests if lookups start with the table alone."""
    node = busy_network(world)[-1]
    first = add_many(node, "first", 100)
    assert add_many(node, "later", 100) < 9.2 < first


def test_concurrent_adds_share_what_they_meet(world: World) -> None:
    """They take 10.6 requests if lookups start with the table alone."""
    assert add_many(busy_network(world)[-1], "many", 200, concurrency=32) < 10


def test_finds_start_with_contacts_met_before(world: World) -> None:
    nodes = busy_network(world)
    keys = [sha1(f"key {number}") for number in range(60)]
    for key in keys:
        nodes[1].add(key, key)
    reader = nodes[-1]
    for key in keys:
        reader.find_value(key)
    began = world.now
    for key in keys:
        assert reader.find_value(key, max_nodes=1)[0].values == [key]
    assert world.now - began < RTT * (len(keys) + 0.5)


def test_dead_contact_met_before_delays_a_lookup_once(world: World) -> None:
    nodes = busy_network(world)
    node, key = nodes[-1], sha1("key")
    holders = node.add(key, b"v").acknowledged
    gone = next(each for each in holders if each not in node.table)
    next(each for each in nodes if each.contact == gone).close(hand_over=False)
    assert gone not in node.add(key, b"v").acknowledged
    gevent.sleep(5)
    began = world.now
    assert gone not in node.add(key, b"v").acknowledged
    assert world.now - began <= 3 * RTT


def test_lookup_starts_with_the_table_alone_if_others_are_too_dense(world: World) -> None:
    """They may all be of one attacker, name only each other, and so hide all others."""
    node, key = busy_network(world)[-1], sha1("key")
    gap = (1 << 160) // NODES
    recent_contacts = node.services.liveliness.recent_contacts
    for number in range(1, 9):
        peer = world.peer(xor(key, from_int(number * gap // 3)), (f"10.9.0.{number}", 4000))
        recent_contacts.on_reply(peer.contact, world.now)
    known = node.services.lookups.nearest_known(key)
    assert known == node.table.closest(key, node.params.k)


def test_node_at_rest_forgets_them(world: World) -> None:
    node = busy_network(world)[-1]
    add_many(node, "key", 20)
    recent_contacts = node.services.liveliness.recent_contacts
    assert len(recent_contacts) > 0
    gevent.sleep(node.params.freshness_window + 2 * node.params.maintenance_interval)
    assert len(recent_contacts) == 0


def test_contact_that_misses_all_pings_starts_no_lookup(world: World) -> None:
    nodes = busy_network(world)
    node, key = nodes[-1], sha1("key")
    holders = node.add(key, b"v").acknowledged
    gone = next(each for each in holders if each not in node.table)
    next(each for each in nodes if each.contact == gone).close(hand_over=False)
    assert not node.is_alive(gone, strong=True)
    gevent.sleep(node.params.dead_quarantine)
    assert gone not in node.services.lookups.nearest_known(key)
