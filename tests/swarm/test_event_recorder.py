"""What a worker tells of its nodes."""

from __future__ import annotations

from collections.abc import Callable

from kademlua import Node, sha1
from kademlua.swarm.event_recorder import EventRecorder


def test_lookups_are_recorded_after_start(make_network: Callable[..., list[Node]]) -> None:
    nodes = make_network(4)
    teller = EventRecorder()
    for node in nodes[:2]:
        teller.add_node(node)
    nodes[1].find_node(sha1("before"))
    assert teller.drain() == []
    teller.start(10)
    nodes[1].find_node(sha1("key"))
    events = [each for each in teller.drain() if each[1]["lookup"] == 1]
    name, began = events[0]
    assert name == "lookup-began"
    assert (began["node"], began["target"]) == (nodes[1].id.hex(), sha1("key").hex())
    assert events[-1][0] == "lookup-ended"
    answered = [data["contact"]["port"] for name, data in events if name == "lookup-answered"]
    assert set(answered) == {node.contact.port for node in nodes if node is not nodes[1]}
    told = [each for name, data in events if name == "lookup-answered" for each in data["told"]]
    assert len(told) == len(set(told))  # each node once
    teller.stop()
    nodes[1].find_node(sha1("after"))
    assert teller.drain() == []


def test_maintenance_lookups_leave_capacity_for_user_lookups() -> None:
    teller = EventRecorder()
    teller.start(10)
    upkeep = [teller.observe_lookup("id", "findnode", b"t", "settle") for _ in range(20)]
    assert sum(each is not None for each in upkeep) == 3
    asked = [teller.observe_lookup("id", "findnode", b"t", "find_node") for _ in range(20)]
    assert sum(each is not None for each in asked) == 7
    assert teller.skipped == 30
    totals = teller.collect_totals()  # another second
    assert (totals["lookups"], totals["skipped"]) == (40, 30)
    assert teller.observe_lookup("id", "findnode", b"t", "settle") is not None


def test_event_queue_is_bounded() -> None:
    teller = EventRecorder()
    for number in range(100_000):
        teller.record("x", {"number": number})
    teller.record_always("node-joined", {"port": 1})
    events = teller.drain()
    assert 1_000 < len(events) < 20_000
    assert teller.skipped == 100_001 - len(events)
    assert events[-1] == ("node-joined", {"port": 1})


def test_totals_keep_counts_of_removed_nodes(make_network: Callable[..., list[Node]]) -> None:
    nodes = make_network(3)
    teller = EventRecorder()
    for node in nodes:
        teller.add_node(node)
    before = teller.collect_totals()
    assert before["packets_in"] == sum(node.stats()["packets_in"] for node in nodes)
    nodes[0].close(hand_over=False)
    teller.remove_node(nodes[0])
    assert teller.collect_totals()["packets_in"] >= before["packets_in"]
