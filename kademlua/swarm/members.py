"""Members: the nodes of a swarm as its launcher knows them, and how one comes or dies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kademlua.core.errors import KademluaError
from kademlua.swarm.plan import LAST_PORT, Plan, WorkerCommand, node_id
from kademlua.swarm.resource_limits import SPARE_FILES


class SwarmRefusal(KademluaError):
    """No node can be killed, or none can come; says why."""


@dataclass(slots=True)
class Member:
    """One node of the swarm."""

    port: int
    worker_index: int
    """The number of its worker, from 0."""
    joined: bool = False
    is_added_later: bool = False
    """Whether it was not there from the beginning."""
    is_stopping: bool = False

    def json(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "id": node_id(self.port).hex(),
            "port": self.port,
            "joined": self.joined,
            "is_control": False,
        }


class Members:
    """The nodes of a plan; they die and come as the workers are told to have it."""

    def __init__(self, plan: Plan, send_command: Callable[[int, WorkerCommand], None]) -> None:
        """``send_command`` sends a command to the worker of a number."""
        self._plan = plan
        self._send_command = send_command
        self._rng = random.SystemRandom()
        self._members: dict[int, Member] = {}
        for worker_index, ports in enumerate(plan.worker_ports):
            self._members |= {port: Member(port, worker_index) for port in ports}
        self._worker_of_free_port: dict[int, int] = {}
        """The worker of each port whose node died."""
        self._extra_nodes_left = SPARE_FILES // 2 // plan.files_per_node
        self._next_port = plan.ports.stop
        self.deaths = 0
        """How many have died since the beginning."""
        self.arrivals = 0
        """How many have joined of those that were not there from the beginning."""

    @property
    def all(self) -> list[Member]:
        """Those that are there, or about to come."""
        return list(self._members.values())

    @property
    def joined_count(self) -> int:
        """How many have joined, and live."""
        return sum(each.joined for each in self._members.values())

    def kill(self) -> Member:
        """End one of those that have joined, any of them, without a word to others."""
        candidates = [each for each in self.all if each.joined and not each.is_stopping]
        if not candidates:
            raise SwarmRefusal("no node has joined that could be killed")
        chosen = self._rng.choice(candidates)
        chosen.is_stopping = True
        self._send_command(chosen.worker_index, WorkerCommand(action="kill", port=chosen.port))
        return chosen

    def start(self) -> Member:
        """Have a node come: one that died, knowing nothing of before, or else one more."""
        if self._worker_of_free_port:
            port = self._rng.choice(list(self._worker_of_free_port))
            worker_index = self._worker_of_free_port.pop(port)
        else:
            port, worker_index = self._extra_port(), self._least_loaded_worker()
        member = self._members[port] = Member(port, worker_index, is_added_later=True)
        self._send_command(worker_index, WorkerCommand(action="join", port=port))
        return member

    def on_worker_event(self, name: str, port: int) -> Member | None:
        """A worker tells that a node has begun, joined or ended; who that is."""
        member = self._members.get(port)
        if member is None:
            return None
        if name == "node-joined":
            member.joined = True
            self.arrivals += member.is_added_later
        elif name == "node-ended":
            self.deaths += member.joined
            member.joined = False
            del self._members[port]
            self._worker_of_free_port[port] = member.worker_index
        return member

    def _extra_port(self) -> int:
        """One behind those of the plan: there are a few, as each costs a worker open files."""
        port = self._next_port
        if port == self._plan.bootstrap[1]:
            port += 1
        if self._extra_nodes_left <= 0 or port > LAST_PORT:
            raise SwarmRefusal("no more nodes fit; one that dies makes room")
        self._extra_nodes_left -= 1
        self._next_port = port + 1
        return port

    def _least_loaded_worker(self) -> int:
        node_counts = Counter(each.worker_index for each in self._members.values())
        return min(range(len(self._plan.worker_ports)), key=lambda worker: node_counts[worker])
