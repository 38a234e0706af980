"""The launcher's list of the nodes of a swarm, and how it starts and kills them."""

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
    """No node can be killed or started; the message says why."""


@dataclass(slots=True)
class Member:
    """One node of the swarm."""

    port: int
    worker_index: int
    """Index of the worker."""
    joined: bool = False
    is_added_later: bool = False
    """True unless the node is one of the plan's initial nodes."""
    is_stopping: bool = False

    def json(self) -> dict[str, Any]:
        """Return the JSON form of a node in events."""
        return node_json(node_id(self.port), self.port, joined=self.joined, is_control=False)


def node_json(id: bytes, port: int, *, joined: bool, is_control: bool) -> dict[str, Any]:
    """Return the JSON form of a node in events and lists."""
    return {"id": id.hex(), "port": port, "joined": joined, "is_control": is_control}


class Members:
    """The nodes of a plan; commands to the workers kill and start them."""

    def __init__(self, plan: Plan, send_command: Callable[[int, WorkerCommand], None]) -> None:
        """``send_command`` sends a command to a worker, by its index."""
        self._plan = plan
        self._send_command = send_command
        self._rng = random.SystemRandom()
        self._members: dict[int, Member] = {}
        for worker_index, ports in enumerate(plan.worker_ports):
            self._members |= {port: Member(port, worker_index) for port in ports}
        self._worker_of_free_port: dict[int, int] = {}
        """Worker index by port, for ports whose node ended."""
        self._extra_nodes_left = SPARE_FILES // 2 // plan.files_per_node
        self._next_port = plan.ports.stop
        self.deaths = 0
        """Number of joined nodes that ended."""
        self.arrivals = 0
        """Number of joined nodes that were added later."""

    @property
    def all(self) -> list[Member]:
        """The running and the starting nodes."""
        return list(self._members.values())

    @property
    def host(self) -> str:
        """The address of the nodes."""
        return self._plan.host

    @property
    def joined_count(self) -> int:
        """Number of running nodes that have joined."""
        return sum(each.joined for each in self._members.values())

    def kill(self, port: int | None = None) -> Member:
        """Kill the joined node on a port, by default a random one, without handover.

        Raises:
            SwarmRefusal: no such node has joined.
        """
        candidates = [
            each
            for each in self.all
            if each.joined and not each.is_stopping and port in (None, each.port)
        ]
        if not candidates:
            where = "" if port is None else f" on port {port}"
            raise SwarmRefusal(f"no joined node{where} to kill")
        chosen = self._rng.choice(candidates)
        chosen.is_stopping = True
        self._send_command(chosen.worker_index, WorkerCommand(action="kill", port=chosen.port))
        return chosen

    def start(self) -> Member:
        """Start a node at the port of one that ended, or else at a new port.

        Raises:
            SwarmRefusal: the open file limit or the port range is exhausted.
        """
        if self._worker_of_free_port:
            port = self._rng.choice(list(self._worker_of_free_port))
            worker_index = self._worker_of_free_port.pop(port)
        else:
            port, worker_index = self._extra_port(), self._least_loaded_worker()
        member = self._members[port] = Member(port, worker_index, is_added_later=True)
        self._send_command(worker_index, WorkerCommand(action="join", port=port))
        return member

    def on_worker_event(self, name: str, port: int) -> Member | None:
        """Handle a node's start, join or end; return the node, or None if it is unknown."""
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
        """Return a port after those of the plan; open files limit their number."""
        port = self._next_port
        if port == self._plan.bootstrap[1]:
            port += 1
        if self._extra_nodes_left <= 0 or port > LAST_PORT:
            raise SwarmRefusal("no more nodes fit; kill one first")
        self._extra_nodes_left -= 1
        self._next_port = port + 1
        return port

    def _least_loaded_worker(self) -> int:
        node_counts = Counter(each.worker_index for each in self._members.values())
        return min(range(len(self._plan.worker_ports)), key=lambda worker: node_counts[worker])
