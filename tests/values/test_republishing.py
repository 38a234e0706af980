"""Republishing of many values: in the order of their keys, as a part of the upkeep."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Node, Params, sha1
from tests.support.world import UNUSED_ENDPOINT, World
from tests.values.test_publisher import Saved

FEW = Params(k=8, replicas=4, republish_interval=3_600, replication_bytes_per_second=1_000_000)
MANY_ROWS = [(sha1(f"key {number}"), b"value %d" % number) for number in range(600)]
ROWS = MANY_ROWS[:300]


def publish(node: Node, rows: list[tuple[bytes, bytes]], ttl: int = 20_000) -> None:
    assert all(result.error is None for result in node.publish_many(rows, ttl=ttl))


def test_keys_share_lookups_and_requests(world: World) -> None:
    nodes = world.network(40, params=FEW)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    publish(client, ROWS)
    gevent.sleep(2 * 3_600)  # all have joined the sweep
    before = client.stats()["calls_by_purpose"]["publish"]
    gevent.sleep(3_600)
    calls = client.stats()["calls_by_purpose"]["publish"] - before
    assert 4 * len(ROWS) / 17 < calls < 4 * len(ROWS) / 2
    assert client.stats()["republish_lag"] < 30


def test_cycle_has_no_bursts(world: World) -> None:
    nodes = world.network(20, params=FEW)
    publish(nodes[0], ROWS)
    gevent.sleep(2 * 3_600)
    counts = []
    for _ in range(12):
        before = nodes[0].stats()["calls_by_purpose"]["publish"]
        gevent.sleep(300)
        counts.append(nodes[0].stats()["calls_by_purpose"]["publish"] - before)
    assert max(counts) < 2 * sum(counts) / len(counts)


def test_all_values_stay(world: World) -> None:
    nodes = world.network(20, params=FEW)
    publish(nodes[0], ROWS, ttl=600)
    for _ in range(10):
        gevent.sleep(200)
        holders = [sum(bool(node.datastore.count(key)) for node in nodes) for key, _ in ROWS]
        assert min(holders) >= 4


def test_interrupted_cycle_is_resumed_after_a_restart(world: World) -> None:
    nodes, saved = world.network(20, params=FEW), Saved()
    settings = {"publication_store": saved, "params": FEW, "read_only": True}
    node = world.node(nodes[0], **settings)
    assert node.wait_joined(30)
    publish(node, ROWS)
    gevent.sleep(2.5 * 3_600)
    node.close()
    gevent.sleep(360)  # a tenth of a cycle
    again = world.node(nodes[0], id=node.id, **settings)
    assert again.wait_joined(30)
    gevent.sleep(120)
    caught_up = again.stats()["calls_by_rpc"]
    stores = sum(node.stats()["requests_by_rpc"].get("storemany", 0) for node in nodes)
    assert 0 < caught_up["storemany"] < 4 * len(ROWS) / 5  # not all values
    assert stores
    gevent.sleep(3_600)
    assert again.stats()["republish_lag"] < 30


def test_values_are_due_if_it_is_not_known_how_far_republishing_came(world: World) -> None:
    nodes, saved = world.network(5, params=FEW), Saved()
    node = world.node(nodes[0], publication_store=saved)
    assert node.wait_joined(30)
    publish(node, ROWS[:9], ttl=20_000)
    node.close()
    saved.at = 0.0
    again = world.node(nodes[0], publication_store=saved, id=node.id)
    assert again.wait_joined(30)
    gevent.sleep(30)
    assert again.stats()["calls_by_purpose"]["publish"] >= 9


def test_values_are_due_if_the_clock_was_set_back(world: World) -> None:
    nodes, saved = world.network(5, params=FEW), Saved()
    node = world.node(nodes[0], publication_store=saved)
    assert node.wait_joined(30)
    publish(node, ROWS[:9], ttl=4_000)
    gevent.sleep(1_900)
    node.close()
    saved.at += 86_400  # as if the clock were a day behind now
    again = world.node(nodes[0], publication_store=saved, id=node.id)
    assert again.wait_joined(30)
    gevent.sleep(30)
    assert again.stats()["calls_by_purpose"]["publish"] >= 9


@pytest.mark.parametrize("swept_at", [True, False])
def test_node_that_ends_before_it_has_joined_has_stored_nothing(
    world: World, *, swept_at: bool
) -> None:
    nodes, saved = world.network(5, params=FEW), Saved()
    node = world.node(nodes[0], publication_store=saved)
    assert node.wait_joined(30)
    publish(node, ROWS[:9], ttl=4_000)
    node.close()
    saved.at *= swept_at
    gevent.sleep(5_000)  # the values have expired
    alone = world.node(UNUSED_ENDPOINT, publication_store=saved, id=node.id)
    gevent.sleep(5)
    alone.close()
    world.unstarted_node(nodes[0], publication_store=saved, id=node.id).close()
    again = world.node(nodes[0], publication_store=saved, id=node.id)
    assert again.wait_joined(30)
    gevent.sleep(30)
    assert all(nodes[2].find_value(key) for key, _ in ROWS[:9])


def test_lag_tells_that_republishing_falls_behind(world: World) -> None:
    slow = FEW.replace(replication_bytes_per_second=100, republish_interval=600)
    nodes = world.network(5, params=slow)
    publish(nodes[0], MANY_ROWS)
    assert nodes[0].stats()["republish_lag"] == 0
    gevent.sleep(2 * 3_600)
    assert nodes[0].stats()["republish_lag"] > 600


def test_lag_of_values_that_cannot_be_stored(world: World) -> None:
    nodes = world.network(3, params=FEW)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    publish(client, ROWS[:20], ttl=400)
    for node in nodes:
        world.net.pause(node.contact.endpoint)
    gevent.sleep(600)
    assert client.stats()["republish_lag"] > 300
    for node in nodes:
        world.net.resume(node.contact.endpoint)
    gevent.sleep(300)
    assert client.stats()["republish_lag"] < 30
    assert all(node.datastore.count(ROWS[0][0]) for node in nodes)


@pytest.mark.parametrize("removes", [True, False])
def test_value_that_ends_while_it_is_stored(world: World, *, removes: bool) -> None:
    nodes = world.network(5, params=FEW.replace(replication_bytes_per_second=1_000))
    publish(nodes[0], ROWS[:100], ttl=1_000)
    gevent.sleep(500)
    for key, value in ROWS[:100]:
        if removes:
            nodes[0].unpublish(key)
        else:
            nodes[0].publish(key, value + b" again")
    gevent.sleep(100)
    kept = {each.key: each.value for each in nodes[0].published()}
    assert kept == ({} if removes else {key: value + b" again" for key, value in ROWS[:100]})
