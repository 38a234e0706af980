"""Watch: those who listen to a swarm, and what they are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import Greenlet

from kademlua.node.node import Node
from kademlua.swarm.event_recorder import Teller
from kademlua.swarm.members import Members
from kademlua.swarm.plan import Command, Report

TOLD_PER_SECOND = 24
"""Lookups of the workers' nodes that are told, at most."""
MADE_PER_SECOND = 2.0
"""Lookups that these nodes make so that there is something to see, while somebody listens."""
_CONTROL_TOLD = 20
"""Lookups of the launcher's own node that are told in a second, at most."""
_TURN = 0.1
_TURNS_PER_SECOND = 10


class Listener(Protocol):
    """Who is told what happens."""

    def hear(self, name: str, data: dict[str, Any]) -> None:
        """An event; must not block."""


class Watch:
    """What happens in a swarm; while nobody listens, the workers tell only who comes and goes."""

    def __init__(
        self, members: Members, workers: int, tell: Callable[[int, Command], None]
    ) -> None:
        """``tell`` sends a command to the worker of a number, of which there are ``workers``."""
        self.members = members
        """The workers' nodes."""
        self._workers = workers
        self._tell = tell
        self._listeners: dict[Listener, None] = {}
        self._control: Node | None = None
        self._teller = Teller()
        self._totals: dict[str, dict[str, int]] = {}
        self._former: dict[str, dict[str, int]] = {}
        self._pump: Greenlet[[], None] | None = None

    def add_control(self, node: Node) -> None:
        """The launcher has a node of its own."""
        self._control = node
        self._teller.attend(node)

    def nodes_json(self) -> list[dict[str, Any]]:
        """All nodes, for ``json.dumps``."""
        found = [each.json() for each in self.members.all]
        node = self._control
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

    def heard(self, worker: int, report: Report) -> None:
        """A worker, by its number from 0, has told something."""
        for name, data in report.events:
            if name.startswith("node-"):
                member = self.members.moved(name, data["port"])
                if member is not None:
                    self._say(name, member.json())
            else:
                self._say_lookup(f"{worker}", name, data)
        if report.totals:
            self._totals[f"{worker}"] = report.totals

    def worker_began(self, worker: int) -> None:
        """A worker can be told now."""
        if self._pump is not None:
            self._tell(worker, self._wish())

    def listen(self, listener: Listener) -> None:
        """Tell somebody of what happens from now on."""
        self._listeners[listener] = None
        if self._pump is None:
            self._tell_all(self._wish())
            self._teller.watch(_CONTROL_TOLD)
            self._totals, self._former = {}, {}
            self._pump = gevent.spawn(self._run)

    def unlisten(self, listener: Listener) -> None:
        """Tell it no more; after the last one the nodes are not watched any longer."""
        self._listeners.pop(listener, None)
        if not self._listeners:
            self.close()

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def close(self) -> None:
        """Watch no more; idempotent."""
        if self._pump is not None:
            self._pump.kill(block=False)
            self._pump = None
            self._teller.unwatch()
            self._tell_all(Command(do="unwatch"))

    def _wish(self) -> Command:
        """What each worker is to tell and do."""
        told, made = -(-TOLD_PER_SECOND // self._workers), MADE_PER_SECOND / self._workers
        return Command(do="watch", told=told, made=made)

    def _tell_all(self, command: Command) -> None:
        for worker in range(self._workers):
            self._tell(worker, command)

    def _say(self, name: str, data: dict[str, Any]) -> None:
        for each in list(self._listeners):
            each.hear(name, data)

    def _say_lookup(self, teller: str, name: str, data: dict[str, Any]) -> None:
        """Tell of a lookup; each teller counts its own."""
        self._say(name, data | {"lookup": f"{teller}-{data['lookup']}"})

    def _run(self) -> None:
        turn = 0
        while True:
            gevent.sleep(_TURN)
            turn += 1
            for name, data in self._teller.take():
                self._say_lookup("control", name, data)
            if turn % _TURNS_PER_SECOND == 0:
                self._totals["control"] = self._teller.totals()
                self._say("swarm", self._summary())

    def _summary(self) -> dict[str, int]:
        """What was counted in the last second, and what there is."""
        told = Counter(packets_in=0, packets_out=0, lookups=0, skipped=0, values=0)
        for teller, totals in self._totals.items():
            former = self._former.get(teller, totals)
            told.update({name: totals[name] - former[name] for name in totals})
            told["values"] += former["values"]
        self._former = dict(self._totals)
        members, control = self.members, self._control
        return {
            **told,
            "nodes": len(members.all) + (control is not None),
            "joined": members.joined + (control is not None and control.joined),
            "died": members.died,
            "came": members.came,
        }
