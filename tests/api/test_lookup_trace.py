"""A lookup's trace: whom it asked, who had told of them, and when."""

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


def looked_up(node: Node, **fields: Any) -> dict[str, Any]:
    """What the operation gives."""
    return NodeApi(node, clock=virtual_now).call("lookup", {"key": KEY, **fields})


def test_the_way_of_a_lookup(world: World) -> None:
    nodes = world.network(30, params=Params(k=4))
    client = world.node(nodes[7], read_only=True, params=Params(k=4))
    assert client.wait_joined(5)
    found = looked_up(client, trace=True)
    trace = found["trace"]
    assert trace["node"] == contact_to_json(client.contact)
    queries = {each["id"]: each for each in trace["queries"]}
    assert len(queries) == len(trace["queries"])
    assert all(a["asked"] <= b["asked"] for a, b in pairwise(trace["queries"]))
    assert {each["id"] for each in found["contacts"]} <= queries.keys()
    assert any(each["hop"] > 1 for each in trace["queries"])
    for query in trace["queries"]:
        if query["teller"] is None:
            assert query["hop"] == 1
        else:
            teller = queries[query["teller"]]
            assert query["hop"] == teller["hop"] + 1
            assert teller["ended"] <= query["asked"]
        if query["fate"] == "answered":
            assert query["ended"] - query["asked"] == pytest.approx(RTT, abs=1e-5)
            assert 0 <= query["new"] <= query["told"] <= 4
    assert all(queries[each["id"]]["fate"] == "answered" for each in found["contacts"])
    assert trace["seconds"] == max(each["ended"] or 0 for each in trace["queries"])


def test_lookup_without_trace_returns_no_trace(world: World) -> None:
    alice, _ = world.network(2)
    assert looked_up(alice).keys() == {"key", "seconds", "contacts"}
    assert looked_up(alice, trace=False).keys() == {"key", "seconds", "contacts"}


def test_one_who_is_gone_failed(world: World) -> None:
    alice, bob, carol = world.network(3)
    bob.close(hand_over=False)
    found = looked_up(alice, trace=True)
    fates = {each["id"]: each["fate"] for each in found["trace"]["queries"]}
    assert fates[bob.id.hex()] in ("failed", "left")
    assert found["contacts"] == [contact_to_json(carol.contact)]


def test_lookups_at_the_same_time_are_kept_apart(world: World) -> None:
    nodes = world.network(10)
    one = gevent.spawn(looked_up, nodes[3], trace=True)
    two = gevent.spawn(nodes[3].find_node, sha1("other"))
    three = gevent.spawn(looked_up, nodes[3], trace=True)
    gevent.joinall([one, two, three], raise_error=True)
    first, second = one.value["trace"]["queries"], three.value["trace"]["queries"]
    assert len(first) == len(second) == 9
    assert [each["id"] for each in first] == [each["id"] for each in second]


def test_nobody_watches_afterwards(world: World) -> None:
    alice = world.node(UNUSED_ENDPOINT)
    with pytest.raises(NotJoined):
        looked_up(alice, trace=True)
    assert alice.services.context.observers.registered == ()
