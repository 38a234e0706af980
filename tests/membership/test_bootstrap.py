"""Bootstrapping: retries until a node replies, and again if all contacts are lost."""

import gevent
import pytest

from kademlua import NotJoined
from tests.support.parts import probe_count
from tests.support.world import RTT, TIMER_SLACK, UNUSED_ENDPOINT, World, approx_time

KEY = b"k" * 20


def test_a_node_without_bootstrap_addresses_is_its_own_network(world: World) -> None:
    assert world.alice.wait_joined()
    assert world.now == 0


def test_one_of_several_bootstrap_nodes_suffices(world: World) -> None:
    node = world.node(UNUSED_ENDPOINT, world.alice, ("fd00::1", 9))
    assert node.wait_joined()
    # Findnode there, then lookups in which that one is asked again.
    assert world.now <= 3 * RTT + 1e-9


def test_node_waits_for_a_dead_bootstrap_node(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    later = ("10.0.9.9", 4000)
    node = world.node(later)
    assert not node.wait_joined()
    assert world.now == approx_time(node.params.rpc_timeout)
    with pytest.raises(NotJoined):
        node.add(KEY, b"v")
    # Tries begin after 1, 2 and 4 seconds more, with a fifth of jitter.
    gevent.sleep(1.2 * (1 + 2 + 4) + 2 * (1.5 + TIMER_SLACK))
    assert node.stats()["calls_by_rpc"] == {"findnode": 4}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    world.node(endpoint=later)
    began = world.now
    assert node.wait_joined(1.2 * 16 + 2)
    assert world.now - began <= 1.2 * 16 + 2
    assert node.add(KEY, b"v").acknowledged


def test_node_without_contacts_joins_again(world: World) -> None:
    first = world.alice
    node = world.node(first)
    assert node.wait_joined()
    first.close()
    assert not node.is_alive(first.contact, strong=True)
    assert len(node.table) == 0
    gevent.sleep(30)
    assert not node.joined
    again = world.node(endpoint=first.contact.endpoint)
    gevent.sleep(1.2 * 32 + 2)
    assert node.joined
    assert again.contact in node.table


def test_client_is_in_no_table(world: World) -> None:
    nodes = world.network(5)
    client = world.node(nodes[0], read_only=True)
    assert client.wait_joined()
    client.add(KEY, b"v")
    assert client.find_value(KEY)
    assert len(client.datastore) == 0
    gevent.sleep(30)
    assert not any(probe_count(node) for node in nodes)
    assert not any(client.contact in node.table for node in nodes)


def test_one_address_merges_two_networks(world: World) -> None:
    here, there = world.network(8), world.network(8)
    assert not any(each.contact in here[1].table for each in there)
    here[3].add_peers([there[5].contact.endpoint])
    gevent.sleep(60)
    for node in [*here, *there]:
        assert len(node.table) == 15


def test_waiting_node_joins_through_added_peers(world: World) -> None:
    node = world.node(UNUSED_ENDPOINT)
    assert not node.wait_joined()
    gevent.sleep(100)  # by now it tries once in a minute or so
    began = world.now
    node.add_peers([UNUSED_ENDPOINT, world.alice.contact.endpoint])
    assert node.wait_joined(10)
    assert world.now - began <= 4 * RTT
    assert world.alice.contact in node.table


def test_adding_no_peers_changes_nothing(world: World) -> None:
    nodes = world.network(3)
    nodes[0].add_peers([UNUSED_ENDPOINT, nodes[0].contact.endpoint])
    nodes[0].add_peers([])
    assert len(nodes[0].table) == 2
    with pytest.raises(ValueError, match="example"):
        nodes[0].add_peers([("example.org", 1)])
    with pytest.raises(ValueError, match="link-local"):
        nodes[0].add_peers([("fe80::1", 1)])
