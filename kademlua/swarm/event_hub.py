"""The events of a swarm, and their subscribers."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import gevent
from gevent import Greenlet

from kademlua.node.node import Node
from kademlua.swarm.event_recorder import EventRecorder
from kademlua.swarm.inventory import Inventory
from kademlua.swarm.members import Members, node_json
from kademlua.swarm.plan import WorkerCommand, WorkerReport

_MAX_CONTROL_REPORTED_PER_SECOND = 20
"""Maximum lookups of the launcher's own node to report per second."""
_TICK_SECONDS = 0.1
_TICKS_PER_SECOND = 10
_TICKS_PER_INVENTORY = 30
_SUMMARIES_KEPT = 60


class Subscriber(Protocol):
    """A receiver of events."""

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        """Receive an event; must not block."""


class EventHub:
    """Distributes a swarm's events; without subscribers, workers report only joins and exits."""

    def __init__(
        self,
        members: Members,
        worker_count: int,
        send_command: Callable[[int, WorkerCommand], None],
    ) -> None:
        """``send_command`` sends a command to a worker, by its index below ``worker_count``."""
        self.members = members
        """The workers' nodes."""
        self.inventory = Inventory()
        """What the nodes hold; empty without subscribers."""
        self.recent_summaries: deque[dict[str, Any]] = deque(maxlen=_SUMMARIES_KEPT)
        """The ``swarm`` events of the last minute, while there are subscribers."""
        self._lag_seconds: dict[int, float] = {}
        self._worker_count = worker_count
        self._send_command = send_command
        self._subscribers: dict[Subscriber, None] = {}
        self._control_node: Node | None = None
        self._recorder = EventRecorder()
        self._totals: dict[str, dict[str, int]] = {}
        self._previous_totals: dict[str, dict[str, int]] = {}
        self._greenlet: Greenlet[[], None] | None = None

    def set_control_node(self, node: Node) -> None:
        """Add the launcher's own node."""
        self._control_node = node
        self._recorder.add_node(node)

    @property
    def node_count(self) -> int:
        """The number of all nodes."""
        return len(self.members.all) + (self._control_node is not None)

    @property
    def joined_count(self) -> int:
        """The number of nodes that have joined."""
        control = self._control_node
        return self.members.joined_count + (control is not None and control.joined)

    def nodes_json(self) -> Iterator[dict[str, Any]]:
        """Yield all nodes in JSON form, with their figures if they were reported."""
        host, figures_of = self.members.host, self.inventory.figures_of
        for each in self.members.all:
            yield each.json() | {"address": host} | figures_of(each.port)
        node = self._control_node
        if node is not None:
            contact = node.contact
            row = node_json(node.id, contact.port, joined=node.joined, is_control=True)
            yield row | {"address": contact.addr} | figures_of(contact.port)

    def on_report(self, worker_index: int, report: WorkerReport) -> None:
        """Handle the report of a worker, by its index."""
        for name, data in report.events:
            if name.startswith("node-"):
                member = self.members.on_worker_event(name, data["port"])
                if member is not None:
                    self._publish(name, member.json())
                    if name == "node-ended":
                        self.inventory.remove_node(member.port)
            else:
                self._publish_lookup(f"{worker_index}", name, data)
        if report.totals:
            self._totals[f"{worker_index}"] = report.totals
            self._lag_seconds[worker_index] = report.lag_seconds
        if report.inventory is not None and self._greenlet is not None:
            ports = (each.port for each in self.members.all)
            self.inventory.update(f"{worker_index}", report.inventory, ports)

    def on_worker_started(self, worker_index: int) -> None:
        """Send a new worker the watch command, if there are subscribers."""
        if self._greenlet is not None:
            self._send_command(worker_index, WorkerCommand(action="watch"))

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber; the first one starts the recording of lookups."""
        self._subscribers[subscriber] = None
        if self._greenlet is None:
            self._broadcast(WorkerCommand(action="watch"))
            self._recorder.start(_MAX_CONTROL_REPORTED_PER_SECOND)
            self._totals, self._previous_totals = {}, {}
            self.inventory.clear()
            self.recent_summaries.clear()
            self._greenlet = gevent.spawn(self._run)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a subscriber; the last one stops the recording of lookups."""
        self._subscribers.pop(subscriber, None)
        if not self._subscribers:
            self.close()

    def close(self) -> None:
        """Stop recording; idempotent."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self._recorder.stop()
            self._broadcast(WorkerCommand(action="unwatch"))

    def _broadcast(self, command: WorkerCommand) -> None:
        for worker_index in range(self._worker_count):
            self._send_command(worker_index, command)

    def _publish(self, name: str, data: dict[str, Any]) -> None:
        for each in list(self._subscribers):
            each.on_event(name, data)

    def _publish_lookup(self, source: str, name: str, data: dict[str, Any]) -> None:
        """Publish a lookup event; ``source`` makes its number unique."""
        self._publish(name, data | {"lookup": f"{source}-{data['lookup']}"})

    def _run(self) -> None:
        tick = 0
        while True:
            gevent.sleep(_TICK_SECONDS)
            tick += 1
            for name, data in self._recorder.drain():
                self._publish_lookup("control", name, data)
            if tick % _TICKS_PER_INVENTORY == 0 and self._control_node is not None:
                ports = [self._control_node.contact.port]
                self.inventory.update("control", self._recorder.collect_inventory(), ports)
            if tick % _TICKS_PER_SECOND == 0:
                self._totals["control"] = self._recorder.collect_totals()
                summary = self._summary()
                self.recent_summaries.append(summary)
                self._publish("swarm", summary)

    def _summary(self) -> dict[str, Any]:
        """Return the counts of the last second, and the current numbers of nodes and values."""
        names = ("packets_in", "packets_out", "bytes_in", "bytes_out")
        counts = Counter(dict.fromkeys((*names, "lookups", "skipped", "values"), 0))
        for source, totals in self._totals.items():
            previous = self._previous_totals.get(source, totals)
            counts.update({name: totals[name] - previous.get(name, 0) for name in totals})
            counts["values"] += previous["values"]
        self._previous_totals = dict(self._totals)
        plain = {name: count for name, count in counts.items() if " " not in name}
        return {
            **plain,
            **{prefix: _with_prefix(counts, f"{prefix} ") for prefix in ("requests", "dropped")},
            "lag_seconds": round(max(self._lag_seconds.values(), default=0.0), 4),
            "nodes": self.node_count,
            "joined": self.joined_count,
            "died": self.members.deaths,
            "came": self.members.arrivals,
        }


def _with_prefix(counts: Counter[str], prefix: str) -> dict[str, int]:
    """Return the counts that are not 0 and whose names begin with ``prefix``, without it."""
    return {
        name.removeprefix(prefix): count
        for name, count in counts.items()
        if count and name.startswith(prefix)
    }
