"""Upkeep: refresh of buckets, looking around in a network that grows, expiry."""

from collections.abc import Callable

from kademlua import Node, Params, sha1
from tests.peers import Clock, Peer, until

Make = Callable[..., Node]

OFTEN = Params(settle_interval=0.1, refresh_interval=3600)


def test_a_network_that_grows_is_looked_at_anew(make_node: Make) -> None:
    first = make_node(params=OFTEN)
    others = [make_node(params=OFTEN, bootstrap=[first.contact.endpoint]) for _ in range(18)]
    assert all(node.wait_joined() for node in others)
    # It never joined anybody: what it looked up, it did for the growth that it saw.
    until(lambda: first.stats()["calls"].get("findnode", 0) > 0)
    until(lambda: all(len(node.table) == 18 for node in [first, *others]))
    assert first.network_size() == 19


def test_a_network_at_rest_is_left_alone(make_node: Make) -> None:
    clock = Clock()
    first = make_node(params=OFTEN, clock=clock)
    second = make_node(params=OFTEN, bootstrap=[first.contact.endpoint])
    assert second.wait_joined()
    until(lambda: first._maintenance._size_at_look == 1)
    before = first.stats()["calls"]
    rounds = []
    look_after = first._maintenance._look_after
    first._maintenance._look_after = lambda: (rounds.append(1), look_after())  # type: ignore[method-assign]
    until(lambda: len(rounds) >= 3)
    assert first.stats()["calls"] == before


def test_buckets_are_refreshed_after_a_while(
    make_node: Make, make_peer: Callable[..., Peer]
) -> None:
    clock = Clock()
    node = make_node(params=OFTEN, clock=clock)
    peer = make_peer()
    peer.serve(lambda request: b"li5ee" if request.name == b"ping" else b"llee")
    node.ping(peer.contact)
    until(lambda: node._maintenance._size_at_look == 1)
    asked = len(peer.requests)
    clock.passed = 2 * 3600
    until(lambda: len(peer.requests) > asked)
    assert peer.requests[asked].name == b"findnode"
    assert peer.requests[asked].args == [node.id]


def test_values_that_ended_leave_memory_unasked(make_node: Make) -> None:
    clock = Clock()
    node = make_node(params=OFTEN, clock=clock)
    node.add(sha1("key"), b"v")
    assert len(node.datastore) == 1
    clock.passed = OFTEN.ttl + 1
    until(lambda: len(node.datastore) == 0)


def test_a_defect_in_a_round_does_not_end_upkeep(make_node: Make) -> None:
    node = make_node(params=OFTEN)
    rounds = []

    def fail() -> None:
        rounds.append(1)
        raise RuntimeError("a defect")

    node._maintenance._look_after = fail  # type: ignore[method-assign]
    until(lambda: len(rounds) >= 3)
