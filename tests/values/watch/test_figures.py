"""Figures of watches: delay of notifications, memory of leases, and what is seen under churn."""

from __future__ import annotations

import random
import tracemalloc

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.watch.leases import MAX_LEASES, LeaseTable
from kademlua.simulation.network.conditions import NetworkConditions
from tests.support.world import RTT, World


def test_ten_thousand_leases_take_little_memory() -> None:
    table = LeaseTable()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(MAX_LEASES):
        watcher = Contact(
            f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}", 4000, sha1(str(number))
        )
        assert table.grant(sha1(f"key {number}"), watcher, 300, 0.0) is not None
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    print(f"{taken / MAX_LEASES:.0f} bytes for a lease, its key and its watcher")
    assert taken <= 10_000_000


@pytest.mark.slow
def test_delay_from_store_to_notification(world: World) -> None:
    """1 % loss; the time runs from the store at a watched holder to the consumer."""
    nodes = world.network(100, params=Params(replicas=8))
    gevent.sleep(300)
    world.net.conditions = NetworkConditions(loss=0.01)
    delays: list[float] = []
    rng = random.Random(1)
    for number in range(300):
        key = sha1(f"key {number}")
        writer, reader = rng.sample(nodes, 2)
        with reader.watch(key) as watch:
            gevent.sleep(3)
            holders = [node for node in nodes if node.services.lease_holder.lease_count]
            holders.append(reader)  # it may be one itself

            def first_store(key: bytes, holders: list[Node]) -> float:
                while not any(node.datastore.count(key) for node in holders):
                    gevent.sleep(0.005)
                return world.now

            storing = gevent.spawn(writer.add, key, b"v")
            stored_at = first_store(key, holders)
            assert watch.next(300) is not None
            delays.append(world.now - stored_at)
            storing.join()
    delays.sort()
    print(f"P50 {delays[150]:.3f} s, P99 {delays[297]:.3f} s, worst {delays[-1]:.3f} s")
    assert delays[297] <= 2 * RTT + 0.1


@pytest.mark.slow
def test_final_states_are_seen_under_churn(world: World) -> None:
    """Nodes live for half an hour in the median; 1 % loss; an hour of writes."""
    rng = random.Random(2)
    params = Params(replicas=8)
    stable = world.network(20, params=params)
    others: list[Node] = []

    def join() -> None:
        node = world.node(rng.choice(stable), params=params)
        node.wait_joined(30)
        others.append(node)

    for _ in range(80):
        join()
    gevent.sleep(120)
    world.net.conditions = NetworkConditions(loss=0.01)
    keys = [sha1(f"key {number}") for number in range(100)]
    seen: dict[bytes, object] = {}

    def follow(reader: Node, key: bytes) -> None:
        for change in reader.watch(key):
            seen[key] = change.value

    for number, key in enumerate(keys):
        gevent.spawn(follow, stable[number % 20], key)
    final: dict[bytes, object] = {}
    until = world.now + 3_600
    while world.now < until:
        key = rng.choice(keys)
        final[key] = b"%d" % rng.randrange(1 << 30)
        # Each key has one writer, whose address stays.
        gevent.spawn(stable[(keys.index(key) + 7) % 20].add, key, final[key])
        if rng.random() < 0.02:  # every two minutes and a half, one of 80
            others.pop(rng.randrange(len(others))).close(hand_over=rng.random() < 0.5)
            gevent.spawn(join)
        gevent.sleep(3)
    gevent.sleep(300)
    missed = [key for key in final if seen.get(key) != final[key]]
    print(f"{len(final) - len(missed)} of {len(final)} final states seen")
    assert not missed
