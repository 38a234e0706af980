"""Watches against peers that lie, values that do not fit, and programs in a hurry."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Node, Params, sha1
from kademlua.core.ids import to_int
from kademlua.core.wire.watch_messages import SECRET_BYTES, encode_watch_args
from kademlua.node.watch_iterators import Watch
from tests.support.world import World

KEY = sha1("config")
NO_SECRET = bytes(SECRET_BYTES)


def network(world: World, count: int = 30) -> list[Node]:
    return world.network(count, params=Params(replicas=8))


def drain(watch: Watch, seconds: float = 2.0) -> list[tuple[str, object]]:
    """The kinds and values of all changes within some seconds."""
    found = []
    while (change := watch.next(seconds)) is not None:
        found.append((change.kind.value, change.value))
    return found


def by_distance(nodes: list[Node]) -> list[Node]:
    """The nodes in the order in which they are replicas of the key."""
    return sorted(nodes, key=lambda node: to_int(node.id) ^ to_int(KEY))


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value


# Values of others do not hide changes.


@pytest.mark.parametrize(
    "obstacles",
    [
        pytest.param([nested(61)], id="nested as deeply as a store permits"),
        pytest.param([[1] * 470, [2] * 470], id="more tokens than a reply may have"),
        pytest.param([b"x" * 14_000] * 4, id="more bytes than a reply may have"),
        pytest.param([b"%d" % number for number in range(200)], id="very many"),
    ],
)
def test_values_that_fit_no_reply_do_not_hide_a_change(
    world: World, obstacles: list[object]
) -> None:
    nodes = by_distance(network(world))
    for value in obstacles:
        client = world.node(nodes[0], read_only=True, params=Params(replicas=8))
        client.wait_joined(30)
        client.add(KEY, value)
        client.close()
    watch = nodes[20].watch(KEY)
    drain(watch)
    nodes[3].add(KEY, b"news")
    assert ("added", b"news") in drain(watch)
    nodes[3].add(KEY, b"more news")
    assert ("replaced", b"more news") in drain(watch)


# Watching again.


@pytest.mark.parametrize("rank", [0, 20])
@pytest.mark.parametrize("pause", [0, 0.05, 0.1, 0.15, 0.25])
def test_watch_that_begins_while_another_ends_is_told_of_changes(
    world: World, rank: int, pause: float
) -> None:
    """Also if this node is a holder itself, of rank 0."""
    nodes = by_distance(network(world))
    reader = nodes[rank]
    first = reader.watch(KEY)
    gevent.sleep(pause)
    first.close()
    gevent.sleep(0)
    with reader.watch(KEY) as watch:
        drain(watch)
        leases = sum(node.services.lease_holder.lease_count for node in nodes)
        assert leases == 3
        nodes[15].add(KEY, b"news")
        assert drain(watch) == [("added", b"news")]
        for node in nodes[1:4]:
            node.close(hand_over=False)
        if rank == 0:  # now only this node knows
            nodes[15].add(KEY, b"more news")
            assert drain(watch) == [("replaced", b"more news")]
    gevent.sleep(5)
    assert sum(node.services.lease_holder.lease_count for node in nodes if not node.closed) == 0


# Holders.


def test_watch_without_a_lease_leaves_nothing_behind(world: World) -> None:
    nodes = network(world, 2)
    holder, peer = nodes
    for number in range(50):
        peer.add(sha1(str(number)), b"v", ttl=5)
        args = encode_watch_args(sha1(str(number)), 0, b"", b"", NO_SECRET)
        peer.services.client.call(holder.contact.endpoint, holder.contact, "watch", args)
    gevent.sleep(20)
    assert holder.services.lease_holder.lease_count == 0
    assert holder.services.lease_holder.tracked_key_count == 0


def test_node_that_is_closing_grants_no_lease(world: World) -> None:
    nodes = network(world, 3)
    nodes[0].services.lease_holder.close()
    args = encode_watch_args(KEY, 300, b"", b"", NO_SECRET)
    contact = nodes[0].contact
    nodes[1].services.client.call(contact.endpoint, contact, "watch", args)
    assert nodes[0].services.lease_holder.lease_count == 0
