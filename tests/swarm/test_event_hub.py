"""The launcher's list of nodes and its events, without processes."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from kademlua.swarm import churn as churning
from kademlua.swarm.event_hub import EventHub
from kademlua.swarm.inventory import InventoryReport
from kademlua.swarm.members import Members, SwarmRefusal
from kademlua.swarm.plan import Plan, WorkerCommand, WorkerReport


class RecordingSubscriber:
    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, Any]]] = []

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        self.received.append((name, data))


class FakeSwarm:
    """Members whose workers execute each command immediately, and their event hub."""

    def __init__(self, count: int = 4, **settings: Any) -> None:
        self.commands: list[tuple[int, WorkerCommand]] = []
        self.members = Members(
            Plan(node_count=count, worker_count=2, **settings), self.send_command
        )
        self.event_hub = EventHub(self.members, 2, self.send_command)
        for member in self.members.all:
            self.members.on_worker_event("node-joined", member.port)

    def send_command(self, worker: int, command: WorkerCommand) -> None:
        self.commands.append((worker, command))
        for name in {"kill": ["node-ended"], "join": ["node-joined"]}.get(command.action, []):
            self.event_hub.on_report(worker, WorkerReport(events=[(name, {"port": command.port})]))


def fill(members: Members) -> None:
    while True:
        members.start()


def test_killed_node_restarts_in_same_worker() -> None:
    swarm = FakeSwarm()
    killed = swarm.members.kill()
    assert swarm.members.joined_count == 3
    assert (swarm.members.deaths, swarm.members.arrivals) == (1, 0)
    started = swarm.members.start()
    assert (started.port, started.worker_index) == (killed.port, killed.worker_index)
    assert [worker for worker, _ in swarm.commands] == [killed.worker_index] * 2
    assert (swarm.members.joined_count, swarm.members.arrivals) == (4, 1)


def test_added_nodes_use_further_ports_up_to_limit() -> None:
    swarm = FakeSwarm(first_port=8000, bootstrap=("127.0.0.1", 8005))
    assert [swarm.members.start().port for _ in range(3)] == [8004, 8006, 8007]
    with pytest.raises(SwarmRefusal, match="no more"):
        fill(swarm.members)
    assert swarm.members.joined_count < 100
    swarm.members.kill()
    swarm.members.start()


def test_no_node_starts_beyond_last_port() -> None:
    with pytest.raises(SwarmRefusal):
        FakeSwarm(first_port=65_532).members.start()


def test_kill_is_refused_without_nodes() -> None:
    swarm = FakeSwarm()
    assert len({swarm.members.kill().port for _ in range(4)}) == 4
    with pytest.raises(SwarmRefusal, match="no joined node"):
        swarm.members.kill()


def test_first_subscriber_starts_and_last_stops_watching() -> None:
    swarm = FakeSwarm()
    one, two = RecordingSubscriber(), RecordingSubscriber()
    swarm.event_hub.subscribe(one)
    swarm.event_hub.subscribe(two)
    assert [(worker, each.action) for worker, each in swarm.commands] == [
        (0, "watch"),
        (1, "watch"),
    ]
    swarm.event_hub.on_worker_started(1)
    assert swarm.commands[-1] == swarm.commands[1]
    swarm.event_hub.unsubscribe(one)
    assert len(swarm.commands) == 3
    swarm.event_hub.unsubscribe(two)
    assert [(worker, each.action) for worker, each in swarm.commands[3:]] == [
        (0, "unwatch"),
        (1, "unwatch"),
    ]
    swarm.event_hub.on_worker_started(1)
    assert len(swarm.commands) == 5
    swarm.members.kill()
    assert not one.received
    assert not two.received


def test_lookup_ids_of_workers_differ() -> None:
    swarm = FakeSwarm()
    subscriber = RecordingSubscriber()
    swarm.event_hub.subscribe(subscriber)
    for worker in (0, 1):
        swarm.event_hub.on_report(
            worker, WorkerReport(events=[("lookup-began", {"lookup": 1, "node": "x"})])
        )
    assert subscriber.received == [
        ("lookup-began", {"lookup": "0-1", "node": "x"}),
        ("lookup-began", {"lookup": "1-1", "node": "x"}),
    ]
    swarm.event_hub.close()


def test_summary_counts_the_last_second() -> None:
    swarm = FakeSwarm()
    subscriber = RecordingSubscriber()
    swarm.event_hub.subscribe(subscriber)

    def summary(**totals: int) -> dict[str, Any]:
        zeros = dict.fromkeys(("packets_in", "packets_out", "lookups", "skipped"), 0)
        for worker in (0, 1):
            swarm.event_hub.on_report(worker, WorkerReport(totals=zeros | {"values": 0} | totals))
        subscriber.received.clear()
        with gevent.Timeout(10):
            while not any(name == "swarm" for name, _ in subscriber.received):
                gevent.sleep(0.01)
        return subscriber.received[-1][1]

    assert summary(packets_in=1_000, values=5)["packets_in"] == 0  # there is no earlier total
    second = summary(packets_in=1_300, values=6)
    assert (second["packets_in"], second["values"]) == (600, 12)
    assert (second["nodes"], second["joined"], second["died"]) == (4, 4, 0)
    swarm.event_hub.close()


def test_churn_kills_and_starts_nodes() -> None:
    swarm = FakeSwarm(count=20)
    greenlet = gevent.spawn(churning.run_churn, swarm.members, 0.2)
    with gevent.Timeout(20):
        while swarm.members.arrivals < 20:
            gevent.sleep(0.01)
    greenlet.kill()
    assert swarm.members.deaths >= 20
    assert swarm.members.joined_count >= 10


def test_chosen_node_is_killed() -> None:
    swarm = FakeSwarm()
    port = swarm.members.all[2].port
    assert swarm.members.kill(port).port == port
    with pytest.raises(SwarmRefusal, match=f"no joined node on port {port} to kill"):
        swarm.members.kill(port)


def test_inventory_follows_reports_and_ends_of_nodes() -> None:
    swarm = FakeSwarm()
    one, two = (each.port for each in swarm.members.all[:2])
    report = InventoryReport(
        figures={one: [9, 20, 2, 50, 60, 0]}, holders={"aa": [one, two], "bb": [one]}
    )
    swarm.event_hub.on_report(0, WorkerReport(inventory=report))
    assert swarm.event_hub.inventory.holders == {}  # without subscribers, it would become stale
    swarm.event_hub.subscribe(RecordingSubscriber())
    swarm.event_hub.on_report(0, WorkerReport(inventory=report))
    row = next(each for each in swarm.event_hub.nodes_json() if each["port"] == one)
    assert (row["values"], row["address"]) == (2, "127.0.0.1")
    swarm.members.kill(one)
    assert swarm.event_hub.inventory.holders == {"aa": [two]}
    assert swarm.event_hub.inventory.lost_keys == ["bb"]
    swarm.event_hub.close()


def test_summary_has_requests_and_drops_by_name() -> None:
    swarm = FakeSwarm()
    subscriber = RecordingSubscriber()
    swarm.event_hub.subscribe(subscriber)
    zeros = dict.fromkeys(("packets_in", "packets_out", "lookups", "skipped", "values"), 0)
    for count in (1, 4):
        totals = zeros | {"requests ping": count, "dropped malformed": count}
        swarm.event_hub.on_report(0, WorkerReport(totals=totals, lag_seconds=0.25))
        subscriber.received.clear()
        with gevent.Timeout(10):
            while not subscriber.received:
                gevent.sleep(0.01)
    name, summary = subscriber.received[-1]
    assert name == "swarm"
    assert (summary["requests"], summary["dropped"]) == ({"ping": 3}, {"malformed": 3})
    assert summary["lag_seconds"] == 0.25
    assert swarm.event_hub.recent_summaries[-1] == summary
    swarm.event_hub.close()
