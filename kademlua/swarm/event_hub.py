"""Watch: those who listen to a swarm, and what they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import Greenlet

from kademlua.node.node import Node
from kademlua.swarm.event_recorder import EventRecorder
from kademlua.swarm.members import Members
from kademlua.swarm.plan import WorkerCommand, WorkerReport

MAX_REPORTED_PER_SECOND = 24
"""Lookups of the workers' nodes that are told, at most."""
GENERATED_PER_SECOND = 2.0
"""Lookups that these nodes make so that there is something to see, while somebody listens."""
_MAX_CONTROL_REPORTED_PER_SECOND = 20
"""Lookups of the launcher's own node that are told in a second, at most."""
_TICK_SECONDS = 0.1
_TICKS_PER_SECOND = 10


class Subscriber(Protocol):
    """Who is told what happens."""

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        """An event; must not block."""


class EventHub:
    """What happens in a swarm; while nobody listens, the workers tell only who comes and goes."""

    def __init__(
        self,
        members: Members,
        worker_count: int,
        send_command: Callable[[int, WorkerCommand], None],
    ) -> None:
        """``send_command`` sends a command to the worker of a number, of which there are
        ``worker_count``."""
        self.members = members
        """The workers' nodes."""
        self._worker_count = worker_count
        self._send_command = send_command
        self._subscribers: dict[Subscriber, None] = {}
        self._control_node: Node | None = None
        self._recorder = EventRecorder()
        self._totals: dict[str, dict[str, int]] = {}
        self._previous_totals: dict[str, dict[str, int]] = {}
        self._greenlet: Greenlet[[], None] | None = None

    def set_control_node(self, node: Node) -> None:
        """The launcher has a node of its own."""
        self._control_node = node
        self._recorder.add_node(node)

    def nodes_json(self) -> list[dict[str, Any]]:
        """All nodes, for ``json.dumps``."""
        found = [each.json() for each in self.members.all]
        node = self._control_node
        if node is not None:
            found.append(
                {
                    "id": node.id.hex(),
                    "port": node.contact.port,
                    "joined": node.joined,
                    "is_control": True,
                }
            )
        return found

    def on_report(self, worker_index: int, report: WorkerReport) -> None:
        """A worker, by its number from 0, has told something."""
        for name, data in report.events:
            if name.startswith("node-"):
                member = self.members.on_worker_event(name, data["port"])
                if member is not None:
                    self._publish(name, member.json())
            else:
                self._publish_lookup(f"{worker_index}", name, data)
        if report.totals:
            self._totals[f"{worker_index}"] = report.totals

    def on_worker_started(self, worker_index: int) -> None:
        """A worker can be told now."""
        if self._greenlet is not None:
            self._send_command(worker_index, self._watch_command())

    def subscribe(self, subscriber: Subscriber) -> None:
        """Tell somebody of what happens from now on."""
        self._subscribers[subscriber] = None
        if self._greenlet is None:
            self._broadcast(self._watch_command())
            self._recorder.start(_MAX_CONTROL_REPORTED_PER_SECOND)
            self._totals, self._previous_totals = {}, {}
            self._greenlet = gevent.spawn(self._run)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Tell it no more; after the last one the nodes are not watched any longer."""
        self._subscribers.pop(subscriber, None)
        if not self._subscribers:
            self.close()

    @property
    def has_subscribers(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscribers)

    def close(self) -> None:
        """Watch no more; idempotent."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self._recorder.stop()
            self._broadcast(WorkerCommand(action="unwatch"))

    def _watch_command(self) -> WorkerCommand:
        """What each worker is to tell and do."""
        max_reported, generated = (
            -(-MAX_REPORTED_PER_SECOND // self._worker_count),
            GENERATED_PER_SECOND / self._worker_count,
        )
        return WorkerCommand(
            action="watch", max_reported_per_second=max_reported, generated_per_second=generated
        )

    def _broadcast(self, command: WorkerCommand) -> None:
        for worker_index in range(self._worker_count):
            self._send_command(worker_index, command)

    def _publish(self, name: str, data: dict[str, Any]) -> None:
        for each in list(self._subscribers):
            each.on_event(name, data)

    def _publish_lookup(self, source: str, name: str, data: dict[str, Any]) -> None:
        """Tell of a lookup; each teller counts its own."""
        self._publish(name, data | {"lookup": f"{source}-{data['lookup']}"})

    def _run(self) -> None:
        tick = 0
        while True:
            gevent.sleep(_TICK_SECONDS)
            tick += 1
            for name, data in self._recorder.drain():
                self._publish_lookup("control", name, data)
            if tick % _TICKS_PER_SECOND == 0:
                self._totals["control"] = self._recorder.collect_totals()
                self._publish("swarm", self._summary())

    def _summary(self) -> dict[str, int]:
        """What was counted in the last second, and what there is."""
        counts = Counter(packets_in=0, packets_out=0, lookups=0, skipped=0, values=0)
        for source, totals in self._totals.items():
            previous = self._previous_totals.get(source, totals)
            counts.update({name: totals[name] - previous[name] for name in totals})
            counts["values"] += previous["values"]
        self._previous_totals = dict(self._totals)
        members, control = self.members, self._control_node
        return {
            **counts,
            "nodes": len(members.all) + (control is not None),
            "joined": members.joined_count + (control is not None and control.joined),
            "died": members.deaths,
            "came": members.arrivals,
        }
