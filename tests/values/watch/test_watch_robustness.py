"""Watches against peers that lie, values that do not fit, and programs in a hurry."""

from __future__ import annotations

import pytest

from kademlua import Node, Params, sha1
from kademlua.core.ids import to_int
from kademlua.node.watch_iterators import Watch
from tests.support.world import World

KEY = sha1("config")


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
