"""The events that a worker records of its nodes."""

from __future__ import annotations

from collections.abc import Callable

from kademlua import Node, sha1
from kademlua.swarm.event_recorder import EventRecorder


def test_lookups_are_recorded_after_start(make_network: Callable[..., list[Node]]) -> None:
    nodes = make_network(4)
    recorder = EventRecorder()
    for node in nodes[:2]:
        recorder.add_node(node)
    nodes[1].find_node(sha1("before"))
    assert recorder.drain() == []
    recorder.start(10)
    nodes[1].find_node(sha1("key"))
    events = [each for each in recorder.drain() if each[1]["lookup"] == 1]
    name, began = events[0]
    assert name == "lookup-began"
    assert (began["node"], began["target"]) == (nodes[1].id.hex(), sha1("key").hex())
    assert events[-1][0] == "lookup-ended"
    answered = [data["contact"]["port"] for name, data in events if name == "lookup-answered"]
    assert set(answered) == {node.contact.port for node in nodes if node is not nodes[1]}
    answers = [data for name, data in events if name == "lookup-answered"]
    reported = [each for data in answers for each in data["reported"]]
    assert len(reported) == len(set(reported))  # each node once
    recorder.stop()
    nodes[1].find_node(sha1("after"))
    assert recorder.drain() == []


def test_maintenance_lookups_leave_capacity_for_user_lookups() -> None:
    recorder = EventRecorder()
    recorder.start(10)
    upkeep = [recorder.observe_lookup("id", "findnode", b"t", "settle") for _ in range(20)]
    assert sum(each is not None for each in upkeep) == 3
    requested = [recorder.observe_lookup("id", "findnode", b"t", "find_node") for _ in range(20)]
    assert sum(each is not None for each in requested) == 7
    assert recorder.skipped == 30
    totals = recorder.collect_totals()  # begins another second
    assert (totals["lookups"], totals["skipped"]) == (40, 30)
    assert recorder.observe_lookup("id", "findnode", b"t", "settle") is not None


def test_event_queue_is_bounded() -> None:
    recorder = EventRecorder()
    for number in range(100_000):
        recorder.record("x", {"number": number})
    recorder.record_always("node-joined", {"port": 1})
    events = recorder.drain()
    assert 1_000 < len(events) < 20_000
    assert recorder.skipped == 100_001 - len(events)
    assert events[-1] == ("node-joined", {"port": 1})


def test_totals_keep_counts_of_removed_nodes(make_network: Callable[..., list[Node]]) -> None:
    nodes = make_network(3)
    recorder = EventRecorder()
    for node in nodes:
        recorder.add_node(node)
    before = recorder.collect_totals()
    assert before["packets_in"] == sum(node.stats()["packets_in"] for node in nodes)
    nodes[0].close(hand_over=False)
    recorder.remove_node(nodes[0])
    assert recorder.collect_totals()["packets_in"] >= before["packets_in"]
