"""Lookups among dead and slow contacts: they neither wait for the dead nor lose the slow."""

from __future__ import annotations

import random
from collections.abc import Callable

import gevent
import pytest

from kademlua import Node, Params, sha1
from kademlua.core.ids import from_int, xor
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from kademlua.simulation.network.conditions import NetworkConditions
from tests.support.peers import ScriptedPeer, requests_served
from tests.support.world import RTT, World

KEY = sha1("key")
LAN_ONE_WAY = 0.0001
SLOW = 0.7
"""Seconds after which a slow peer answers."""
EIGHT_REPLICAS = Params(replicas=8)


def settled(world: World, count: int, params: Params = EIGHT_REPLICAS) -> list[Node]:
    """A network whose nodes know as many others as their tables hold."""
    nodes = world.network(count, params=params)
    rng = random.Random(2)
    for node in nodes:
        for _ in range(5):
            node.find_node(rng.randbytes(20))
    return nodes


@pytest.mark.parametrize("stopped", [30, 50])
@pytest.mark.parametrize("seed", [1, 2])
def test_find_on_a_lan_does_not_wait_for_a_chain_of_dead_contacts(seed: int, stopped: int) -> None:
    world = World(seed, LAN_ONE_WAY)

    def test() -> None:
        rng = random.Random(seed)
        nodes = settled(world, 100)
        keys = [sha1(f"key {number}") for number in range(300)]
        for number, key in enumerate(keys):
            nodes[number % 100].add(key, key)
        rng.shuffle(nodes)
        for _ in range(stopped):
            nodes.pop().close(hand_over=False)
        times = []
        for key in keys:
            began = world.now
            answers = rng.choice(nodes).find_value(key, max_nodes=1)
            times.append(world.now - began)
            held = any(node.datastore.get(key, 1, world.now) for node in nodes)
            assert [answer.values for answer in answers] == ([[key]] if held else [])
        times.sort()
        assert times[len(times) * 99 // 100] < 0.008

    world.run(test)


def findvalue_reply(request: Request) -> bytes:
    """The answer of a peer that has a value and knows no other peer."""
    if request.name == b"findvalue":
        return replies.encode_findvalue_reply([], [b"1:v"], 1)
    return b"li5ee" if request.name == b"ping" else b"ld7:closest0:ee"


def delayed(
    peer: ScriptedPeer, node: Node, respond: Callable[[Request], bytes], seconds: float
) -> Callable[[Request], None]:
    """Return a responder for ``serve`` that answers after some seconds."""

    def answer_later(request: Request) -> None:
        response = packets.encode_response(peer.id, request.rpc_id, respond(request))
        gevent.spawn_later(seconds, peer.send, response, node.contact.endpoint)

    return answer_later


def slow_peer(world: World, node: Node, node_id: bytes | None = None) -> ScriptedPeer:
    """A peer in the table of a node, usually quick and slow from now on."""
    peer = world.peer(node_id)
    peer.serve(findvalue_reply)
    for _ in range(20):
        node.ping(peer.contact)
    peer.serve(delayed(peer, node, findvalue_reply, SLOW))
    return peer


@pytest.mark.parametrize("one_way", [LAN_ONE_WAY, RTT / 2])
def test_reply_of_a_slow_peer_counts(one_way: float) -> None:
    world = World(1, one_way)

    def test() -> None:
        peer = slow_peer(world, world.alice)
        began = world.now
        assert [answer.values for answer in world.alice.find_value(KEY)] == [[b"v"]]
        assert world.now - began == pytest.approx(SLOW + 2 * one_way)
        assert world.alice.find_node(KEY) == [peer.contact]

    world.run(test)


def test_slow_peer_stays_in_the_table(world: World) -> None:
    node = world.alice
    peer = slow_peer(world, node)
    for _ in range(10):
        node.find_node(KEY)
        gevent.sleep(1)
        assert peer.contact in node.table


def test_silent_peer_stays_in_the_table_for_a_second() -> None:
    world = World(1, LAN_ONE_WAY)

    def test() -> None:
        node = world.alice
        peer = slow_peer(world, node)
        peer.serve(lambda request: None)
        gevent.spawn(node.find_value, KEY)
        gevent.sleep(1)
        assert peer.contact in node.table
        gevent.sleep(0.5)
        assert peer.contact not in node.table

    world.run(test)


def test_late_contact_is_queried_last_until_it_replies() -> None:
    world = World(1, LAN_ONE_WAY)

    def test() -> None:
        node = world.alice
        nearest = slow_peer(world, node, xor(KEY, from_int(1)))
        second = world.peer(xor(KEY, from_int(2)))
        second.serve(findvalue_reply)
        node.ping(second.contact)
        nearest.requests.clear()
        assert node.find_value(KEY, max_nodes=1)[0].contact == second.contact
        assert "findvalue" in requests_served(nearest)
        nearest.requests.clear()
        began = world.now
        assert node.find_value(KEY, max_nodes=1)[0].contact == second.contact
        assert world.now - began == pytest.approx(2 * LAN_ONE_WAY)
        assert "findvalue" not in requests_served(nearest)
        nearest.serve(findvalue_reply)
        gevent.sleep(2)
        assert node.find_value(KEY, max_nodes=1)[0].contact == nearest.contact

    world.run(test)


def packets_of_finds(params: Params) -> int:
    """Return the packets of 300 finds on a healthy network: 100 ms per round trip, and jitter."""
    world, sent = World(3), 0

    def test() -> None:
        nonlocal sent
        nodes = settled(world, 60, params)
        world.net.conditions = NetworkConditions(jitter=0.01)
        keys = [sha1(f"key {number}") for number in range(100)]
        for number, key in enumerate(keys):
            nodes[number % 60].add(key, key)
        for phase in range(2):  # the first one is to learn the round trips
            sent = world.net.sent
            for number in range(300):
                nodes[(7 * number + phase) % 60].find_value(keys[number % 100])
        sent = world.net.sent - sent

    world.run(test)
    return sent


def test_hedging_costs_few_packets_on_a_healthy_network() -> None:
    without = EIGHT_REPLICAS.replace(min_rto=EIGHT_REPLICAS.rpc_timeout)
    assert packets_of_finds(EIGHT_REPLICAS) <= 1.05 * packets_of_finds(without)


def test_find_waits_for_the_only_holder_although_others_replied_without_the_value() -> None:
    world = World(1, LAN_ONE_WAY)

    def test() -> None:
        node = world.alice
        holder = slow_peer(world, node, xor(KEY, from_int(1)))
        others = [world.peer() for _ in range(2 * node.params.k)]
        reply = replies.encode_findvalue_reply([peer.contact for peer in others], [], 1)
        for peer in others:
            peer.serve(lambda _: reply)
            node.ping(peer.contact)
        began = world.now
        assert [answer.contact for answer in node.find_value(KEY)] == [holder.contact]
        assert world.now - began == pytest.approx(SLOW + 2 * LAN_ONE_WAY)

    world.run(test)
