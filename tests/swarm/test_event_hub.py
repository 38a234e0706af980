"""What the launcher knows of its nodes, and tells; without processes."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from kademlua.swarm import churn as churning
from kademlua.swarm.event_hub import EventHub
from kademlua.swarm.members import Members, SwarmRefusal
from kademlua.swarm.plan import Plan, WorkerCommand, WorkerReport


class Ears:
    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        self.heard.append((name, data))


class Told:
    """Members whose workers do at once what they are told, and a watch over them."""

    def __init__(self, count: int = 4, **settings: Any) -> None:
        self.commands: list[tuple[int, WorkerCommand]] = []
        self.members = Members(Plan(node_count=count, worker_count=2, **settings), self.tell)
        self.watch = EventHub(self.members, 2, self.tell)
        for member in self.members.all:
            self.members.on_worker_event("node-joined", member.port)

    def tell(self, worker: int, command: WorkerCommand) -> None:
        self.commands.append((worker, command))
        for name in {"kill": ["node-ended"], "join": ["node-joined"]}.get(command.action, []):
            self.watch.on_report(worker, WorkerReport(events=[(name, {"port": command.port})]))


def fill(members: Members) -> None:
    while True:
        members.start()


def test_killed_node_restarts_in_same_worker() -> None:
    told = Told()
    killed = told.members.kill()
    assert told.members.joined_count == 3
    assert (told.members.deaths, told.members.arrivals) == (1, 0)
    came = told.members.start()
    assert (came.port, came.worker_index) == (killed.port, killed.worker_index)
    assert [worker for worker, _ in told.commands] == [killed.worker_index] * 2
    assert (told.members.joined_count, told.members.arrivals) == (4, 1)


def test_added_nodes_use_further_ports_up_to_limit() -> None:
    told = Told(first_port=8000, bootstrap=("127.0.0.1", 8005))
    assert [told.members.start().port for _ in range(3)] == [8004, 8006, 8007]
    with pytest.raises(SwarmRefusal, match="no more"):
        fill(told.members)
    assert told.members.joined_count < 100
    told.members.kill()
    told.members.start()


def test_no_node_starts_beyond_last_port() -> None:
    with pytest.raises(SwarmRefusal):
        Told(first_port=65_532).members.start()


def test_kill_is_refused_without_nodes() -> None:
    told = Told()
    assert len({told.members.kill().port for _ in range(4)}) == 4
    with pytest.raises(SwarmRefusal, match="no joined node"):
        told.members.kill()


def test_first_subscriber_starts_and_last_stops_watching() -> None:
    told = Told()
    one, two = Ears(), Ears()
    told.watch.subscribe(one)
    told.watch.subscribe(two)
    assert [(worker, each.action) for worker, each in told.commands] == [(0, "watch"), (1, "watch")]
    told.watch.on_worker_started(1)
    assert told.commands[-1] == told.commands[1]
    told.watch.unsubscribe(one)
    assert len(told.commands) == 3
    told.watch.unsubscribe(two)
    assert [(worker, each.action) for worker, each in told.commands[3:]] == [
        (0, "unwatch"),
        (1, "unwatch"),
    ]
    assert not told.watch.has_subscribers


def test_lookup_ids_of_workers_differ() -> None:
    told = Told()
    ears = Ears()
    told.watch.subscribe(ears)
    for worker in (0, 1):
        told.watch.on_report(
            worker, WorkerReport(events=[("lookup-began", {"lookup": 1, "node": "x"})])
        )
    assert ears.heard == [
        ("lookup-began", {"lookup": "0-1", "node": "x"}),
        ("lookup-began", {"lookup": "1-1", "node": "x"}),
    ]
    told.watch.close()


def test_totals_are_those_of_the_last_second() -> None:
    told = Told()
    ears = Ears()
    told.watch.subscribe(ears)

    def summary(**totals: int) -> dict[str, Any]:
        everything = dict.fromkeys(("packets_in", "packets_out", "lookups", "skipped"), 0)
        for worker in (0, 1):
            told.watch.on_report(worker, WorkerReport(totals=everything | {"values": 0} | totals))
        ears.heard.clear()
        with gevent.Timeout(10):
            while not any(name == "swarm" for name, _ in ears.heard):
                gevent.sleep(0.01)
        return ears.heard[-1][1]

    assert summary(packets_in=1_000, values=5)["packets_in"] == 0  # since when, nobody knows
    then = summary(packets_in=1_300, values=6)
    assert (then["packets_in"], then["values"]) == (600, 12)
    assert (then["nodes"], then["joined"], then["died"]) == (4, 4, 0)
    told.watch.close()


def test_churn_kills_and_starts_nodes() -> None:
    told = Told(count=20)
    greenlet = gevent.spawn(churning.run_churn, told.members, 0.2)
    with gevent.Timeout(20):
        while told.members.arrivals < 20:
            gevent.sleep(0.01)
    greenlet.kill()
    assert told.members.deaths >= 20
    assert told.members.joined_count >= 10
