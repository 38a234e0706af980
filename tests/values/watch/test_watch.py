"""Watches on the virtual network: what a consumer is told, and what it costs."""

from __future__ import annotations

import asyncio

import gevent
import pytest

from kademlua import AsyncNode, Node, NodeClosed, Params, SigningKey, ThreadedNode, sha1
from kademlua.core.contact import Endpoint
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.core.watch.snapshot import HeldValue, digest
from kademlua.core.wire.watch_messages import KeyState, encode_changed_args, encode_state
from kademlua.node.watch_iterators import Watch
from kademlua.simulation.network.conditions import NetworkConditions
from tests.support.world import RTT, World

KEY = sha1("config")


def network(world: World, count: int = 30) -> list[Node]:
    return world.network(count, params=Params(replicas=8))


def drain(watch: Watch, seconds: float = 2.0) -> list[tuple[str, object]]:
    """The kinds and values of all changes within some seconds."""
    found = []
    while (change := watch.next(seconds)) is not None:
        found.append((change.kind.value, change.value))
    return found


def test_existing_values_come_first_and_then_changes(world: World) -> None:
    nodes = network(world)
    writer, other, reader = nodes[3], nodes[9], nodes[20]
    writer.add(KEY, b"one")
    with reader.watch(KEY) as watch:
        assert drain(watch) == [("added", b"one")]
        writer.add(KEY, b"two")
        assert drain(watch) == [("replaced", b"two")]
        other.add(KEY, b"other")
        assert drain(watch) == [("added", b"other")]
        writer.remove(KEY)
        assert drain(watch) == [("removed", b"two")]
        assert drain(watch, 400) == []  # renewals change nothing


def test_change_names_its_owner(world: World) -> None:
    nodes = network(world)
    with nodes[20].watch(KEY) as watch:
        nodes[3].add(KEY, b"v")
        assert watch.next(2) == Change(ChangeKind.ADDED, nodes[3].contact, b"v")


def test_value_that_expires_is_reported(world: World) -> None:
    nodes = network(world)
    nodes[3].add(KEY, b"short", ttl=60)
    with nodes[20].watch(KEY) as watch:
        assert drain(watch) == [("added", b"short")]
        assert drain(watch, 80) == [("expired", b"short")]


def test_notification_arrives_within_two_round_trips(world: World) -> None:
    nodes = network(world)
    with nodes[20].watch(KEY) as watch:
        assert drain(watch) == []
        gevent.sleep(1)
        sent_at = world.now
        gevent.spawn(nodes[3].add, KEY, b"v")
        assert watch.next(5) is not None
        # An add looks the replicas up first, which takes two round trips here.
        assert world.now - sent_at <= 4 * RTT + 0.1


def test_several_watches_of_a_node_share_one_lease(world: World) -> None:
    nodes = network(world)
    reader = nodes[20]
    watches = [reader.watch(KEY) for _ in range(5)]
    gevent.sleep(2)
    leases = sum(node.services.lease_holder.lease_count for node in nodes)
    assert leases <= 3
    nodes[3].add(KEY, b"v")
    assert [drain(watch) for watch in watches] == [[("added", b"v")]] * 5
    late = reader.watch(KEY)
    assert drain(late) == [("added", b"v")]


def test_closed_watch_ends_its_leases_and_its_iteration(world: World) -> None:
    nodes = network(world)
    watch = nodes[20].watch(KEY)
    iterating = gevent.spawn(list, watch)
    gevent.sleep(2)
    watch.close()
    watch.close()
    gevent.sleep(2)
    assert sum(node.services.lease_holder.lease_count for node in nodes) == 0
    assert iterating.get(timeout=1) == []


def test_node_that_closes_ends_its_watches(world: World) -> None:
    nodes = network(world)
    iterating = gevent.spawn(list, nodes[20].watch(KEY))
    gevent.sleep(2)
    nodes[20].close()
    assert iterating.get(timeout=5) == []
    with pytest.raises(NodeClosed):
        nodes[20].watch(KEY)


def test_watch_moves_when_its_holders_vanish(world: World) -> None:
    nodes = network(world)
    reader, writer = nodes[20], nodes[3]
    writer.add(KEY, b"one")
    watch = reader.watch(KEY)
    assert drain(watch) == [("added", b"one")]
    holders = [node for node in nodes if node.services.lease_holder.lease_count]
    for node in holders:
        if node not in (reader, writer):
            node.close(hand_over=False)
    writer.add(KEY, b"two")
    assert ("replaced", b"two") in drain(watch, 400)
    assert drain(watch, 400) == []


def test_lost_notifications_are_repaired_by_the_next_renewal(world: World) -> None:
    nodes = network(world)
    watch = nodes[20].watch(KEY)
    assert drain(watch) == []
    nodes[3].add(KEY, b"one")
    assert drain(watch) == [("added", b"one")]
    world.net.conditions = NetworkConditions(loss=0.3)
    for number in range(20):
        gevent.spawn(nodes[3].add, KEY, b"%d" % number)
        gevent.sleep(20)
    world.net.conditions = NetworkConditions()
    nodes[3].add(KEY, b"last")
    assert drain(watch, 300)[-1] == ("replaced", b"last")


def test_slow_consumer_is_told_and_begins_again(world: World) -> None:
    nodes = network(world, 10)
    watch = nodes[2].watch(KEY)
    gevent.sleep(2)
    for number in range(1_100):
        nodes[3].add(KEY, b"%d" % number)
    kinds = [kind for kind, _ in drain(watch)]
    assert kinds.count("missed") == 1
    assert drain(watch) == []
    nodes[3].add(KEY, b"end")
    assert drain(watch) == [("replaced", b"end")]


def test_only_verified_records_are_reported(world: World) -> None:
    nodes = network(world)
    key = SigningKey(b"k" * 32)
    result = nodes[3].put_signed(b"one", key)
    watch = nodes[20].watch(result.key)
    [(kind, value)] = drain(watch)
    assert (kind, value[b"v"]) == ("added", b"one")
    nodes[5].put_signed(b"two", key)
    assert [value[b"v"] for _, value in drain(watch)] == [b"two"]  # type: ignore[index]


def test_watcher_that_is_a_holder_itself_is_told(world: World) -> None:
    nodes = world.network(3)
    with nodes[0].watch(KEY) as watch:
        gevent.sleep(1)
        nodes[0].add(KEY, b"own")
        assert drain(watch) == [("added", b"own")]
        nodes[1].add(KEY, b"other")
        assert drain(watch) == [("added", b"other")]
        nodes[0].remove(KEY)
        assert drain(watch) == [("removed", b"own")]


def test_idle_watch_costs_few_bytes(world: World) -> None:
    nodes = network(world)
    reader = nodes[20]
    gevent.sleep(600)

    def sent_and_received() -> int:
        stats = reader.stats()
        return int(stats["bytes_in"] + stats["bytes_out"])

    began, before = world.now, sent_and_received()
    gevent.sleep(3_600)
    idle = (sent_and_received() - before) / (world.now - began)
    watch = reader.watch(KEY)
    gevent.sleep(10)
    began, before = world.now, sent_and_received()
    gevent.sleep(3_600)
    watching = (sent_and_received() - before) / (world.now - began)
    watch.close()
    assert watching - idle <= 20


def test_client_that_watches_enters_no_routing_table(world: World) -> None:
    nodes = network(world)
    client = world.node(nodes[0], read_only=True, params=Params(replicas=8))
    client.wait_joined(30)
    with client.watch(KEY) as watch:
        for number in range(3):
            nodes[number].add(KEY, b"v")
            gevent.sleep(5)
        assert len(drain(watch)) == 3
        assert not any(client.contact in node.table for node in nodes)
        assert len(nodes[3].add(KEY, b"v").acknowledged) == 8


def test_forged_notification_is_ignored(world: World) -> None:
    """From the address of a holder, but without the secret of the lease."""
    nodes = network(world)
    reader = nodes[20]
    watch = reader.watch(KEY)
    assert drain(watch) == []
    holder = next(node for node in nodes if node.services.lease_holder.lease_count)
    forged = HeldValue(nodes[3].contact, 9, b"6:forged", world.now + 100)
    state = encode_state(KeyState(digest([forged]), [forged]), world.now, 1_000)
    for secret in (b"", bytes(8)):
        args = encode_changed_args(KEY, secret, state)
        _, result = holder.services.client.call(
            reader.contact.endpoint, reader.contact, "changed", args
        )
        assert result == [0]
    assert drain(watch) == []


def test_node_that_does_not_watch_ends_the_lease(world: World) -> None:
    nodes = network(world)
    watch = nodes[20].watch(KEY)
    gevent.sleep(1)
    nodes[20].services.watcher.close()  # without a word to the holders
    assert watch.next() is None
    nodes[3].add(KEY, b"v")
    gevent.sleep(2)
    assert sum(node.services.lease_holder.lease_count for node in nodes) == 0


def test_bridges_watch() -> None:
    async def first(endpoint: Endpoint) -> Change:
        async with AsyncNode(bootstrap=[endpoint]) as node, node.watch(KEY) as watch:
            async for change in watch:
                return change
        raise AssertionError("the watch ended")

    with ThreadedNode() as node:
        node.add(KEY, b"v")
        with node.watch(KEY) as watch:
            assert next(watch).value == b"v"
        assert asyncio.run(first(node.contact.endpoint)).value == b"v"
