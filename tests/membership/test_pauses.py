"""Pauses: the machine sleeps or the process is stopped, and the node continues afterwards.

The node's clock jumps ahead, as it does in a suspend, while the timers of the loop do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.errors import CallInterrupted, NotJoined, StoreFailed
from kademlua.core.wire import packets, requests
from kademlua.core.wire.packets import Request, encode_request_payload
from kademlua.core.wire.requests import StoreArguments
from kademlua.simulation.clock.loop import virtual_now
from tests.support.peers import (
    ScriptedPeer,
    always_pong,
    empty_v11_peer,
    requests_served,
    wait_until,
)
from tests.support.world import UNUSED_ENDPOINT, World

HOUR = 3600.0
KEY = sha1("key")
ROUND = 12
"""Seconds until the next beat, at most."""
BEFORE_NEXT_BEAT = 1
"""Seconds after a pause in which the timer has not noticed it yet."""


class Machine:
    """The clock of a machine that can sleep, and a node on it."""

    def __init__(self, world: World, **settings: Any) -> None:
        self._slept = 0.0
        self.node: Node = world.node(clock=lambda: virtual_now() + self._slept, **settings)
        gevent.sleep(0.1)

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


def store_payload(ttl: int) -> bytes:
    arguments = requests.encode_store_args(StoreArguments(KEY, b"1:v", ttl))
    return encode_request_payload(b"store", arguments, read_only=False)


def validated_peer(world: World, node: Node) -> ScriptedPeer:
    """Return a peer whose address the node has validated."""
    peer = world.peer()
    peer.serve(always_pong)
    node.ping(peer.contact)
    peer.stop_serving()
    return peer


def stale_count(node: Node) -> int:
    return int(node.stats()["dropped"].get("stale", 0))


@pytest.mark.parametrize("seconds", [60.0, HOUR, 60 * HOUR])
def test_request_that_waited_during_a_pause_is_dropped(world: World, seconds: float) -> None:
    machine = Machine(world)
    peer = validated_peer(world, machine.node)
    peer.request(machine.node.contact.endpoint, store_payload(ttl=60))
    machine.sleep(seconds)
    gevent.sleep(BEFORE_NEXT_BEAT)
    assert len(machine.node.datastore) == 0
    assert stale_count(machine.node) == 1
    assert all(isinstance(packets.decode(each), Request) for each in peer.unread)  # no response
    assert peer.ping_succeeds(machine.node.contact.endpoint)
    assert stale_count(machine.node) == 1


def test_busy_loop_is_no_pause(world: World) -> None:
    machine = Machine(world)
    peer = validated_peer(world, machine.node)
    machine.sleep(9)
    assert peer.ping_succeeds(machine.node.contact.endpoint)
    assert stale_count(machine.node) == 0


def test_values_expire_during_a_pause(world: World) -> None:
    machine = Machine(world)
    machine.node.add(KEY, b"for an hour", ttl=3600)
    machine.node.add(sha1("other"), b"for a week", ttl=7 * 86_400)
    machine.sleep(60 * HOUR)
    assert machine.node.find_value(KEY) == []
    assert len(machine.node.find_value(sha1("other"))) == 1
    gevent.sleep(ROUND)
    assert len(machine.node.datastore) == 1


def test_publication_is_stored_again_after_a_pause(world: World) -> None:
    peer = world.peer()
    peer.serve(empty_v11_peer)
    machine = Machine(world, bootstrap=[peer.contact.endpoint])
    assert machine.node.wait_joined(10)
    machine.node.publish(KEY, b"while I live", ttl=86_400)
    gevent.sleep(ROUND)
    before = requests_served(peer).count("store")
    machine.sleep(60 * HOUR)
    gevent.sleep(ROUND)
    assert requests_served(peer).count("store") == before + 1


def interrupted(node: Node, contact: Contact) -> Callable[[], object]:
    """Ping a contact from a greenlet, and return a function that waits for the error."""
    greenlet = gevent.spawn(node.ping, contact)
    gevent.sleep(0.01)

    def result() -> object:
        greenlet.join()
        return greenlet.exception

    return result


def test_call_in_flight_is_interrupted(world: World) -> None:
    machine = Machine(world)
    peer = validated_peer(world, machine.node)
    error = interrupted(machine.node, peer.contact)
    machine.sleep(HOUR)
    assert isinstance(error(), CallInterrupted)
    stats = machine.node.stats()
    assert (stats["timeouts"], stats["calls_in_flight"]) == (0, 0)
    assert peer.contact in machine.node.table


def test_store_in_flight_goes_to_no_other_node_after_a_pause(world: World) -> None:
    """Its TTL would count from then."""
    peers = [world.peer(), world.peer()]
    for peer in peers:
        peer.serve(lambda request: None if request.name == b"store" else empty_v11_peer(request))
    machine = Machine(world, params=Params(replicas=1), read_only=True)
    for peer in peers:
        machine.node.ping(peer.contact)
    storing = gevent.spawn(machine.node.add, KEY, b"v", ttl=60)
    wait_until(lambda: any("store" in requests_served(peer) for peer in peers))
    machine.sleep(HOUR)
    storing.join()
    assert isinstance(storing.exception, StoreFailed)
    assert sum("store" in requests_served(peer) for peer in peers) == 1


def test_contact_is_pinged_again_before_it_is_evicted(world: World) -> None:
    machine = Machine(world)
    peer = validated_peer(world, machine.node)
    alive = gevent.spawn(machine.node.is_alive, peer.contact)
    wait_until(lambda: len(peer.unread) == 3)  # the last ping of the probe is in flight
    machine.sleep(HOUR)
    peer.serve(always_pong)
    assert alive.get()
    assert peer.contact in machine.node.table


@pytest.mark.parametrize("seconds", [0, 10, 50])
def test_table_outlives_a_network_that_comes_up_late(world: World, seconds: float) -> None:
    contacts = world.network(20)
    machine = Machine(world, bootstrap=[contacts[0].contact.endpoint])
    gevent.sleep(60)
    machine.sleep(60 * HOUR)
    world.net.pause(machine.node.contact.endpoint)
    gevent.sleep(ROUND + seconds)
    assert len(machine.node.table) == 20
    world.net.resume(machine.node.contact.endpoint)
    gevent.sleep(60)
    assert len(machine.node.table) == 20


def test_contacts_that_died_during_a_pause_are_evicted(world: World) -> None:
    contacts = world.network(20)
    machine = Machine(world, bootstrap=[contacts[0].contact.endpoint])
    gevent.sleep(60)
    for contact in contacts[:10]:
        contact.close(hand_over=False)
    machine.sleep(60 * HOUR)
    gevent.sleep(400)
    assert len(machine.node.table) == 10
    for contact in contacts[10:]:
        contact.close(hand_over=False)
    machine.sleep(60 * HOUR)
    gevent.sleep(400)
    assert len(machine.node.table) == 0
    assert not machine.node.joined


def test_waiting_join_is_tried_again_after_a_pause(world: World) -> None:
    params = Params(bootstrap_retry=1000, bootstrap_retry_max=1000)
    machine = Machine(world, bootstrap=[UNUSED_ENDPOINT], params=params)
    gevent.sleep(30)
    with pytest.raises(NotJoined):
        machine.node.add(KEY, b"v")
    attempts = machine.node.stats()["calls_by_purpose"]["join"]
    machine.sleep(HOUR)
    gevent.sleep(ROUND)
    assert machine.node.stats()["calls_by_purpose"]["join"] > attempts


def test_pause_is_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(world)
    machine.sleep(60 * HOUR)
    gevent.sleep(5 * ROUND)
    [record] = [each for each in caplog.records if "paused" in each.message]
    assert "asleep" in record.message


def test_bulk_operation_goes_on_after_a_pause(world: World) -> None:
    """Holders that had no time to reply are not taken for silent ones."""
    nodes = world.network(20, params=Params(k=8, replicas=4))
    machine = Machine(world, bootstrap=[nodes[0].contact.endpoint], params=Params(k=8, replicas=4))
    assert machine.node.wait_joined(30)
    rows = [(sha1(str(number)), number) for number in range(1_000)]
    storing = gevent.spawn(lambda: list(machine.node.add_many(rows)))
    sent = machine.node.stats
    wait_until(lambda: sent()["calls_by_rpc"].get("storemany", 0) > 20)
    machine.sleep(120)
    results = storing.get()
    assert all(result.error is None for result in results)
    assert not any(result.report and result.report.timed_out for result in results)
