"""The trace of a lookup: the queried nodes, who reported them, and the times."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import gevent
import pytest

from kademlua import Node, Params, sha1
from kademlua.api.operations import NodeApi
from kademlua.core.errors import NotJoined
from kademlua.core.json_codec import contact_to_json
from kademlua.simulation.clock.loop import virtual_now
from tests.support.world import RTT, UNUSED_ENDPOINT, World

KEY = sha1("key").hex()


def run_lookup(node: Node, **fields: Any) -> dict[str, Any]:
    """Return the result of the operation ``lookup``."""
    return NodeApi(node, clock=virtual_now).call("lookup", {"key": KEY, **fields})


def test_trace_has_each_query_with_its_responder_hop_and_times(world: World) -> None:
    nodes = world.network(30, params=Params(k=4))
    client = world.node(nodes[7], read_only=True, params=Params(k=4))
    assert client.wait_joined(5)
    found = run_lookup(client, trace=True)
    trace = found["trace"]
    assert trace["node"] == contact_to_json(client.contact)
    queries = {each["id"]: each for each in trace["queries"]}
    assert len(queries) == len(trace["queries"])
    assert all(a["queried"] <= b["queried"] for a, b in pairwise(trace["queries"]))
    assert {each["id"] for each in found["contacts"]} <= queries.keys()
    assert any(each["hop"] > 1 for each in trace["queries"])
    for query in trace["queries"]:
        if query["responder"] is None:
            assert query["hop"] == 1
        else:
            responder = queries[query["responder"]]
            assert query["hop"] == responder["hop"] + 1
            assert responder["ended"] <= query["queried"]
        if query["outcome"] == "answered":
            assert query["ended"] - query["queried"] == pytest.approx(RTT, abs=1e-5)
            assert 0 <= query["new"] <= query["reported"] <= 4
    assert all(queries[each["id"]]["outcome"] == "answered" for each in found["contacts"])
    assert trace["seconds"] == max(each["ended"] or 0 for each in trace["queries"])


def test_lookup_without_trace_returns_no_trace(world: World) -> None:
    alice, _ = world.network(2)
    assert run_lookup(alice).keys() == {"key", "seconds", "contacts"}
    assert run_lookup(alice, trace=False).keys() == {"key", "seconds", "contacts"}


def test_closed_node_fails_or_is_left(world: World) -> None:
    alice, bob, carol = world.network(3)
    bob.close(hand_over=False)
    found = run_lookup(alice, trace=True)
    outcomes = {each["id"]: each["outcome"] for each in found["trace"]["queries"]}
    assert outcomes[bob.id.hex()] in ("failed", "left")
    assert found["contacts"] == [contact_to_json(carol.contact)]


def test_concurrent_lookups_have_separate_traces(world: World) -> None:
    nodes = world.network(10)
    one = gevent.spawn(run_lookup, nodes[3], trace=True)
    two = gevent.spawn(nodes[3].find_node, sha1("other"))
    three = gevent.spawn(run_lookup, nodes[3], trace=True)
    gevent.joinall([one, two, three], raise_error=True)
    first, second = one.value["trace"]["queries"], three.value["trace"]["queries"]
    assert len(first) == len(second) == 9
    assert [each["id"] for each in first] == [each["id"] for each in second]


def test_failed_lookup_leaves_no_observer(world: World) -> None:
    alice = world.node(UNUSED_ENDPOINT)
    with pytest.raises(NotJoined):
        run_lookup(alice, trace=True)
    assert alice.services.context.observers.registered == ()
