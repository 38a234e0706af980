"""Joined state: what a node does without its bootstrap node, and after an outage."""

from __future__ import annotations

import logging
import socket

import gevent
import gevent.socket
import pytest

from kademlua import Node, Params, sha1
from kademlua.core.wire import packets, requests
from tests.support.peers import wait_until
from tests.support.world import RTT, UNUSED_ENDPOINT, World

REJOIN_TIME = 30
"""Seconds after an outage within which a node is joined again."""


def cut_off(world: World, node: Node, others: list[Node]) -> None:
    """Cut a node off until all of its contacts are gone."""
    world.net.partition([{node.contact.endpoint}, {each.contact.endpoint for each in others}])
    while len(node.table):
        gevent.sleep(1)


# Without the bootstrap node.


def test_node_that_others_join_through_is_joined(world: World) -> None:
    node = world.node(UNUSED_ENDPOINT)
    assert not node.wait_joined()
    others = [world.node(node) for _ in range(4)]
    assert node.wait_joined(2)
    assert len(node.table) == 4
    gevent.sleep(200)
    assert node.joined
    assert all(each.contact in node.table for each in others)


def test_node_whose_bootstrap_address_is_dead_publishes_and_expires(world: World) -> None:
    node = world.node(UNUSED_ENDPOINT)
    others = [world.node(node) for _ in range(4)]
    assert all(each.wait_joined(5) for each in others)
    key = sha1("published")
    node.publish(key, b"mine", ttl=60)
    for number in range(20):
        others[0].add(sha1(f"{number}"), b"short", ttl=20)
    assert len(node.datastore) == 21
    gevent.sleep(300)
    assert len(node.datastore) == 1
    assert others[1].find_value(key)


def test_values_expire_at_a_node_that_never_joined(world: World) -> None:
    node, client = world.node(UNUSED_ENDPOINT), world.peer()
    assert not node.wait_joined()
    store = requests.StoreArguments(sha1("key"), b"1:v", 10)
    payload = packets.encode_request_payload(
        b"store", requests.encode_store_args(store), read_only=True
    )
    client.call(node.contact.endpoint, payload)
    assert len(node.datastore) == 1
    gevent.sleep(40)
    assert len(node.datastore) == 0


def test_bootstrap_address_is_tried_until_it_replies(world: World) -> None:
    """Otherwise two parts of a network would not find each other."""
    late = ("10.0.9.9", 4000)
    node = world.node(late)
    other = world.node(node)
    assert node.wait_joined(5)
    gevent.sleep(100)
    first = world.node(endpoint=late)
    gevent.sleep(60)
    assert first.contact in node.table
    assert first.contact in other.table


# After an outage.


@pytest.mark.parametrize("minutes", [1, 120])
@pytest.mark.parametrize("nat", [False, True])
def test_node_rejoins_after_an_outage_without_the_bootstrap_node(
    world: World, minutes: int, *, nat: bool
) -> None:
    first, *others = world.network(8)
    node = world.node(first)
    if nat:
        world.net.enable_nat(node.contact.endpoint, 60)
    assert node.wait_joined()
    gevent.sleep(20)
    first.close()  # it is retired
    gevent.sleep(20)
    cut_off(world, node, others)
    gevent.sleep(60 * minutes)
    assert not node.joined
    world.net.heal()
    began = world.now
    assert node.wait_joined(REJOIN_TIME)
    assert world.now - began <= REJOIN_TIME
    gevent.sleep(15)
    assert len(node.table) == len(others)


def test_node_without_bootstrap_addresses_finds_its_network_again(world: World) -> None:
    first, *others = world.network(8)
    cut_off(world, first, others)
    gevent.sleep(3600)
    world.net.heal()
    gevent.sleep(REJOIN_TIME)
    assert len(first.table) == len(others)
    assert first.joined


def test_value_is_found_after_an_outage(world: World) -> None:
    first, *others = world.network(8)
    node = world.node(first)
    assert node.wait_joined()
    node.publish(sha1("key"), b"v", ttl=3600)
    cut_off(world, node, [first, *others])
    first.add(sha1("meanwhile"), b"w")
    world.net.heal()
    assert node.wait_joined(REJOIN_TIME)
    assert node.find_value(sha1("meanwhile"))
    assert others[0].find_value(sha1("key"))


# Host names, on real sockets.

FAST = Params(rpc_timeout=0.3, bootstrap_retry=0.05, bootstrap_retry_max=0.1)
Row = tuple[object, ...]


@pytest.fixture
def slow_dns(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let all host names take a minute; return the names that were asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: object, **__: object) -> list[Row]:
        asked.append(host)
        gevent.sleep(60)
        raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")

    monkeypatch.setattr(gevent.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_bad_name_costs_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "kademlua.node")
    names = [("node-0..dht", 8001), ("x" * 70 + ".example", 8001)]
    with (
        gevent.Timeout(20),
        Node() as alice,
        Node(bootstrap=[*names, alice.contact.endpoint], params=FAST) as bob,
    ):
        assert bob.joined
        wait_until(lambda: len(caplog.records) == 2)
    with gevent.Timeout(20), Node(bootstrap=names[:1], params=FAST) as carol:
        assert not carol.joined
        gevent.sleep(0.5)  # several attempts
        about_names = [each for each in caplog.messages if "bootstrap address " in each]
        assert about_names[2:] == ["bootstrap address node-0..dht: not a host name"]


def test_numeric_addresses_do_not_wait_for_names(slow_dns: list[str]) -> None:
    names = [(f"dht{number}.example.org", 8001) for number in range(3)]
    with gevent.Timeout(5), Node() as alice:
        endpoint = alice.contact.endpoint
        with Node(bootstrap=[*names, endpoint], params=FAST) as bob:
            assert bob.joined
            assert len(slow_dns) == 3


def test_names_are_resolved_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    with Node() as alice:

        def getaddrinfo(host: str, *_: object, **__: object) -> list[Row]:
            gevent.sleep(0.5)
            if host != "good.example":
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 0))]

        monkeypatch.setattr(gevent.socket, "getaddrinfo", getaddrinfo)
        names = ["one.example", "two.example", "good.example"]
        bootstrap = [(name, alice.contact.port) for name in names]
        with gevent.Timeout(1.4), Node(bootstrap=bootstrap, params=FAST) as bob:
            assert bob.joined


def test_name_that_hangs_is_asked_for_once(slow_dns: list[str]) -> None:
    with gevent.Timeout(30):
        node = Node(bootstrap=[("dht.example", 8001)], params=FAST)
        node.start()
        gevent.sleep(0.5)
        node.close()
    assert slow_dns == ["dht.example"]


def test_latency_is_that_of_the_first_reply(world: World) -> None:
    node = world.node(UNUSED_ENDPOINT, world.alice)
    assert node.wait_joined()
    assert world.now <= 3 * RTT + 1e-9
