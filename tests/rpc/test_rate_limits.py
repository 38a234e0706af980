"""Rate limits: sources are charged for what their requests cost, and not for their number."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Node, Params, sha1
from kademlua.core.wire import packets, replies, requests
from kademlua.rpc.rate_limits import MIN_REQUEST_TIME
from kademlua.simulation.clock.loop import virtual_now
from tests.support.peers import ScriptedPeer, always_pong
from tests.support.world import RTT, World

KEY = sha1("key")
PING = packets.encode_request_payload(b"ping", b"", read_only=False)
COSTLY = packets.encode_request_payload(b"costly", b"", read_only=False)
ADDRESS_OF_ALL = Params(exempt_private=False)
"""Treats the private addresses of the virtual network as public."""


def store(value: bytes = b"v") -> bytes:
    arguments = requests.StoreArguments(KEY, replies.encode_value(value), 60)
    return packets.encode_request_payload(
        b"store", requests.encode_store_args(arguments), read_only=False
    )


class BusyClock:
    """A node's clock on which work takes time; virtual time alone stands still meanwhile."""

    def __init__(self) -> None:
        self.seconds_worked = 0.0

    def __call__(self) -> float:
        return virtual_now() + self.seconds_worked

    def work(self, seconds: float) -> None:
        self.seconds_worked += seconds


def busy_node(world: World, params: Params, cost: float = 0.002) -> tuple[Node, BusyClock]:
    """Return a node whose RPC ``costly`` takes time, and its clock."""
    clock = BusyClock()
    node = world.node(params=params, clock=clock)
    node.register("costly", lambda sender: clock.work(cost))
    return node, clock


def served(node: Node, name: str) -> int:
    return node.stats()["requests_by_rpc"].get(name, 0)


def flood(peer: ScriptedPeer, node: Node, payload: bytes, per_second: int, seconds: int) -> None:
    for _ in range(20 * seconds):
        for _ in range(per_second // 20):
            peer.request(node.contact.endpoint, payload)
        gevent.sleep(0.05)


def validate(node: Node, peer: ScriptedPeer) -> None:
    peer.serve(always_pong)
    node.ping(peer.contact.endpoint)


# The cost of a request is the time that it takes.


def test_costly_requests_get_the_time_of_cheap_ones(world: World) -> None:
    params = ADDRESS_OF_ALL.replace(request_time_per_subnet=0.002)
    node, clock = busy_node(world, params)
    cheap = world.peer(endpoint=("198.51.100.1", 4000))
    costly = world.peer(endpoint=("203.0.113.1", 4000))
    for peer in (cheap, costly):
        validate(node, peer)
    gevent.sleep(2)
    floods = [
        gevent.spawn(flood, cheap, node, PING, 400, 10),
        gevent.spawn(flood, costly, node, COSTLY, 400, 10),
    ]
    gevent.joinall(floods, raise_error=True)
    granted = 0.002 * (10 + 2)  # the burst is that of two seconds
    assert clock.seconds_worked == pytest.approx(granted, abs=2 * 0.002)
    assert served(node, "ping") * MIN_REQUEST_TIME == pytest.approx(granted, rel=0.05)


def test_honest_peer_is_served_during_a_flood_of_costly_requests(world: World) -> None:
    node, clock = busy_node(world, ADDRESS_OF_ALL)
    honest = world.peer(endpoint=("203.0.113.1", 4000))
    attackers = [world.peer(endpoint=(f"198.51.{number}.1", 4000)) for number in range(20)]
    validate(node, honest)
    honest.stop_serving()
    floods = [gevent.spawn(flood, each, node, COSTLY, 200, 5) for each in attackers]
    for _ in range(40):
        assert honest.ping_succeeds(node.contact.endpoint)
    gevent.joinall(floods, raise_error=True)
    assert served(node, "ping") == 40
    assert clock.seconds_worked == pytest.approx(0.04 * (5 + 2), rel=0.05)


def test_unvalidated_sources_share_time(world: World) -> None:
    params = ADDRESS_OF_ALL.replace(unvalidated_request_time=0.01)
    node, clock = busy_node(world, params)
    for number in range(50):
        peer = world.peer(endpoint=(f"198.51.{number}.1", 4000))
        peer.request(node.contact.endpoint, COSTLY)
    gevent.sleep(RTT)
    assert clock.seconds_worked == pytest.approx(0.02, abs=0.003)
    assert node.stats()["rate_limited"]["unvalidated requests"] == 50 - served(node, "costly")


@pytest.mark.parametrize("seconds", [0.02, 5.0])
def test_interrupted_request_is_not_charged_for_the_interruption(
    world: World, seconds: float
) -> None:
    node, _ = busy_node(world, ADDRESS_OF_ALL, cost=seconds)
    peer = world.peer(endpoint=("198.51.100.1", 4000))
    validate(node, peer)
    gevent.sleep(1)
    peer.stop_serving()
    peer.call(node.contact.endpoint, COSTLY)
    for _ in range(100):
        assert peer.ping_succeeds(node.contact.endpoint)
    assert not node.stats()["rate_limited"]


def test_simulated_nodes_charge_the_minimum(world: World) -> None:
    """So that a run is reproducible, whatever the speed of the machine."""
    node = world.node(params=ADDRESS_OF_ALL)
    node.register("costly", lambda sender: sum(range(10_000)))
    peer = world.peer(endpoint=("198.51.100.1", 4000))
    validate(node, peer)
    gevent.sleep(2)
    for _ in range(2_500):
        peer.request(node.contact.endpoint, COSTLY)
    gevent.sleep(RTT)
    assert served(node, "costly") == 2_000


# Sources.


def test_source_is_rate_limited_independently(world: World) -> None:
    params = ADDRESS_OF_ALL.replace(request_time_per_subnet=10 * MIN_REQUEST_TIME)
    node = world.node(params=params)
    flood = world.peer(endpoint=("198.51.100.1", 4000))
    neighbour = world.peer(endpoint=("198.51.100.2", 4000))  # of the same /24
    other = world.peer(endpoint=("203.0.113.1", 4000))
    for _ in range(100):
        flood.request(node.contact.endpoint, PING)
    gevent.sleep(RTT)
    assert node.stats()["requests_by_rpc"] == {"ping": 20}
    assert node.stats()["rate_limited"] == {"requests of one source": 80}
    neighbour.request(node.contact.endpoint, PING)
    gevent.sleep(RTT)
    assert node.stats()["requests_by_rpc"]["ping"] <= 22
    assert other.ping_succeeds(node.contact.endpoint)
    gevent.sleep(2)  # no source is banned
    assert flood.ping_succeeds(node.contact.endpoint)


def test_unvalidated_sources_share_a_rate_limit(world: World) -> None:
    node = world.node(params=ADDRESS_OF_ALL.replace(unvalidated_request_time=10 * MIN_REQUEST_TIME))
    known = world.peer(endpoint=("203.0.113.1", 4000))
    assert known.ping_succeeds(node.contact.endpoint)
    known.ping_succeeds(node.contact.endpoint)
    gevent.sleep(10)
    for number in range(200):
        world.peer(endpoint=(f"198.51.{number}.1", 4000)).request(node.contact.endpoint, PING)
    for _ in range(20):
        assert known.ping_succeeds(node.contact.endpoint)
    assert node.stats()["rate_limited"] == {"unvalidated requests": 180}


@pytest.mark.parametrize(("keys", "is_limited"), [((), True), ((bytes(32),), False)])
def test_private_network_limits_no_source_without_a_backlog(
    world: World, keys: tuple[bytes, ...], *, is_limited: bool
) -> None:
    gate = world.node(network_keys=keys).services.gate
    permits = [gate.admit(100, ("203.0.113.9", 1), None, world.now) for _ in range(3_000)]
    assert (None in permits) == is_limited


def test_private_sources_are_limited_only_under_load(world: World) -> None:
    params = Params(request_time_per_subnet=10 * MIN_REQUEST_TIME)
    node, peer = world.node(params=params), world.peer()
    for _ in range(100):
        peer.request(node.contact.endpoint, PING)
    gevent.sleep(RTT)
    assert node.stats()["requests_by_rpc"] == {"ping": 100}
    node.services.context.transport.is_backlogged = True
    another = world.peer(endpoint=(peer.contact.addr, 5000))
    for _ in range(500):
        peer.request(node.contact.endpoint, PING)
    assert another.ping_succeeds(node.contact.endpoint)  # an endpoint is a source
    assert node.stats()["rate_limited"] == {"requests of one source": 100}


# The cost of a store is its bytes.


def test_stores_have_a_separate_rate_limit(world: World) -> None:
    node = world.node(params=ADDRESS_OF_ALL.replace(store_bytes_per_subnet=5 * 5_000))
    peer = world.peer(endpoint=("198.51.100.1", 4000))
    validate(node, peer)
    for _ in range(50):
        peer.request(node.contact.endpoint, store())
    gevent.sleep(RTT)
    stats = node.stats()
    assert stats["rate_limited"] == {"stores of one source": 40}
    peer.stop_serving()
    assert peer.ping_succeeds(node.contact.endpoint)


def test_large_stores_get_the_bytes_of_small_ones(world: World) -> None:
    node = world.node(params=ADDRESS_OF_ALL.replace(store_bytes_per_subnet=50_000))
    stored = []
    for number, size in enumerate((10, 4_000, 14_000)):
        peer = world.peer(endpoint=(f"198.51.{number}.1", 4000))
        validate(node, peer)
        refused = node.stats()["rate_limited"].get("stores of one source", 0)
        for _ in range(50):
            peer.request(node.contact.endpoint, store(b"v" * size))
        gevent.sleep(RTT)
        refused = node.stats()["rate_limited"].get("stores of one source", 0) - refused
        stored.append(50 - refused)
    assert stored == [20, 20, 7]
