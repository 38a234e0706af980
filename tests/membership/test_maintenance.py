"""Maintenance: bucket refresh, neighbourhood refresh in growing networks, and expiry."""

import gevent
import pytest

from kademlua import Params, sha1
from tests.support.peers import empty_v10_peer, requests_served
from tests.support.world import World

ROUND = 12
"""Seconds that one maintenance round takes at most, including jitter."""


def test_growing_network_triggers_a_neighbourhood_refresh(world: World) -> None:
    nodes = world.network(19)
    first = nodes[0]
    # It never joined anybody: what it looks up, it does for the growth that it sees.
    assert "findnode" not in first.stats()["calls_by_rpc"]
    gevent.sleep(ROUND)
    assert first.stats()["calls_by_rpc"]["findnode"] > 0
    assert all(len(node.table) == 18 for node in nodes)
    assert first.network_size() == 19


def test_idle_network_causes_no_refresh(world: World) -> None:
    first, second = world.network(2)
    gevent.sleep(2 * ROUND)
    before = first.stats()["calls_by_rpc"], second.stats()["calls_by_rpc"]
    gevent.sleep(200)  # less than what counts as silence
    assert (first.stats()["calls_by_rpc"], second.stats()["calls_by_rpc"]) == before


def test_buckets_are_refreshed_after_a_while(world: World) -> None:
    node, peer = world.alice, world.peer()
    peer.serve(empty_v10_peer)
    node.ping(peer.contact)
    gevent.sleep(ROUND)
    assert requests_served(peer) == ["ping", "findnode"]
    gevent.sleep(0.8 * 3600 - world.now)  # the jitter's earliest
    assert set(requests_served(peer)[2:]) == {
        "ping"
    }  # whether it lives is asked every five minutes
    gevent.sleep(1.2 * 3600 + 900 - world.now)  # it looks every quarter of the interval
    refreshes = [request for request in peer.requests[2:] if request.name == b"findnode"]
    assert [request.args for request in refreshes] == [[node.id]]


def test_expired_values_are_freed_without_request(world: World) -> None:
    node = world.node(params=Params(ttl=100))
    node.add(sha1("key"), b"v")
    gevent.sleep(99)
    assert len(node.datastore) == 1
    gevent.sleep(1 + ROUND)
    assert len(node.datastore) == 0


def test_exception_in_a_round_does_not_stop_maintenance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = []

    def fail(tombstones: object, now: float) -> None:
        rounds.append(world.now)
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(world.alice.datastore.tombstones), "expire", fail)
    gevent.sleep(3 * ROUND)
    assert len(rounds) >= 3
