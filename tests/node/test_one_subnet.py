"""Networks whose nodes are all in one public subnet, or in few of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
import pytest

from kademlua import Node, Params, sha1
from kademlua.core.contact import Endpoint
from tests.support.world import World

NODES, KEYS, DEAD = 30, 40, 4
NETWORKS: dict[str, Callable[[int], str]] = {
    "private": lambda number: f"10.8.8.{number}",
    "one /24": lambda number: f"203.0.113.{number}",
    "one /48": lambda number: f"2001:db9:7:{number:x}::1",
    "two /24s": lambda number: f"203.0.{113 + number % 2}.{number}",
}


def start_network(world: World, address: Callable[[int], str], **settings: object) -> list[Node]:
    """Start nodes one after the other, each of which joins through the first."""
    nodes: list[Node] = []
    for number in range(1, NODES + 1):
        endpoint: Endpoint = (address(number), 8001)
        nodes.append(world.node(*nodes[:1], endpoint=endpoint, **settings))
        nodes[-1].wait_joined()
    gevent.sleep(30)
    return nodes


@pytest.mark.parametrize("name", NETWORKS)
def test_tables_are_full_and_values_survive_dead_replicas(world: World, name: str) -> None:
    nodes = start_network(world, NETWORKS[name])
    sizes = [len(node.table) for node in nodes]
    assert min(sizes) > 20
    assert sum(sizes) > 0.9 * NODES * (NODES - 1)
    for number in range(KEYS):
        report = nodes[number % NODES].add(sha1(f"{number}"), b"value")
        assert len(report.acknowledged) == 20
    most = sorted(nodes, key=lambda node: len(node.datastore))
    for node in most[-DEAD:]:
        node.close(hand_over=False)
    for number in range(KEYS):
        asked = most[number % (NODES - DEAD)]
        assert asked.find_value(sha1(f"{number}")), number


def test_network_size_is_estimated_in_one_subnet(world: World) -> None:
    nodes = start_network(world, NETWORKS["one /24"])
    assert all(20 <= node.network_size() <= 40 for node in nodes)


def test_warns_once_if_limits_keep_nodes_of_a_small_network_out(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "kademlua.node")

    def mixed(number: int) -> str:
        return f"203.0.113.{number}" if number < 20 else f"198.51.{number}.1"

    nodes = start_network(world, mixed, params=Params(k=4, replicas=4))
    gevent.sleep(100)
    messages = [each for each in caplog.records if "limits keep some nodes" in each.getMessage()]
    assert messages
    assert len({each.node for each in messages}) == len(messages) <= len(nodes)  # type: ignore[attr-defined]


def test_no_warning_without_competition(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "kademlua.node")
    start_network(world, NETWORKS["one /24"])
    gevent.sleep(100)
    assert not [each for each in caplog.records if "limits" in each.getMessage()]


def test_private_network_has_no_subnet_limits(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "kademlua.node")

    def mixed(number: int) -> str:
        return f"203.0.113.{number}" if number < 20 else f"198.51.{number}.1"

    params = Params(k=4, replicas=4)
    nodes = start_network(world, mixed, params=params, network_keys=[bytes(range(32))])
    assert not any(node.table.subnets.has_refused for node in nodes)
