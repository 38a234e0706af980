"""Maintenance: bucket refresh, neighbourhood refresh in growing networks, and expiry."""

import logging
from collections import Counter

import gevent
import pytest

from kademlua import Contact, Params, sha1
from kademlua.core.values.memory_store import MemoryStore
from kademlua.core.values.store import StoreEntry
from kademlua.core.values.tombstones import Tombstones
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.membership.reachability import ReachabilityProber
from kademlua.replication.replicator import Replicator
from kademlua.values.publisher import Republisher
from tests.support.peers import empty_v10_peer, empty_v11_peer, requests_served
from tests.support.world import UNUSED_ENDPOINT, World

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


STEPS = [
    (MemoryStore, "expire"),
    (Tombstones, "expire"),
    (Republisher, "tick"),
    (LivelinessManager, "probe_stale"),
    (Replicator, "tick"),
    (ReachabilityProber, "tick"),
    (LookupService, "update_density"),
]


@pytest.mark.parametrize(("part", "step"), STEPS)
def test_step_that_fails_stops_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, part: type, step: str
) -> None:
    node, calls = world.alice, Counter[str]()

    def count(name: str, *_: object) -> int:
        calls[name] += 1
        if name == f"{part.__name__}.{step}":
            raise RuntimeError("a defect")
        return 0

    for cls, method in STEPS:
        name = f"{cls.__name__}.{method}"
        monkeypatch.setattr(cls, method, lambda *_, name=name: count(name))
    gevent.sleep(3 * ROUND)
    assert node.healthy
    assert {*calls} == {f"{cls.__name__}.{method}" for cls, method in STEPS}
    assert min(calls.values()) >= 3


def test_step_that_always_fails_is_logged_every_ten_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(Tombstones, "expire", fail)
    assert world.alice.healthy
    gevent.sleep(1_100)
    failures = [each for each in caplog.records if each.exc_info]
    assert [each.message for each in failures] == ["expiring tombstones failed"] * 2


def test_log_that_cannot_be_written_does_not_stop_maintenance(world: World) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise FileNotFoundError(2, "No such file or directory")

    handler = Broken()
    logging.getLogger("kademlua").addHandler(handler)
    try:
        node = world.node(UNUSED_ENDPOINT)
        gevent.sleep(300)
        peer = world.peer(endpoint=UNUSED_ENDPOINT)
        peer.serve(empty_v10_peer)
        assert node.wait_joined(120)
    finally:
        logging.getLogger("kademlua").removeHandler(handler)


def test_values_expire_and_are_published_before_the_node_has_joined(world: World) -> None:
    node, peer = world.node(UNUSED_ENDPOINT, params=Params(ttl=100)), world.peer()
    peer.serve(empty_v11_peer)
    node.ping(peer.contact)
    node.publish(sha1("key"), b"v", ttl=100)
    owner = Contact("10.9.9.9", 1, b"o" * 20)
    node.datastore.put(sha1("other"), owner, StoreEntry(b"1:v", node.now + 50))
    gevent.sleep(100)
    assert not node.joined
    assert list(node.datastore.keys()) == [sha1("key")]
    assert requests_served(peer).count("store") >= 2


def test_stuck_step_is_unhealthy_and_delays_no_expiry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Replicator, "tick", lambda *_: gevent.sleep(10_000))
    node = world.node(params=Params(ttl=100))
    node.add(sha1("key"), b"v")
    gevent.sleep(100 + ROUND)
    assert len(node.datastore) == 0
    assert node.healthy
    gevent.sleep(700)
    assert not node.healthy


def test_idle_nodes_are_healthy(world: World) -> None:
    waiting, alone = world.node(UNUSED_ENDPOINT), world.alice
    for _ in range(100):
        gevent.sleep(100)
        assert waiting.healthy
        assert alone.healthy
    alone.close()
    assert not alone.healthy
    assert not world.unstarted_node().healthy
