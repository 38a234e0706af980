"""Members: the nodes of a swarm as its launcher knows them, and how one comes or dies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kademlua.core.errors import KademluaError
from kademlua.swarm.plan import LAST_PORT, Command, Plan, node_id
from kademlua.swarm.resource_limits import SPARE_FILES


class SwarmRefusal(KademluaError):
    """No node can be killed, or none can come; says why."""


@dataclass(slots=True)
class Member:
    """One node of the swarm."""

    port: int
    worker: int
    """The number of its worker, from 0."""
    joined: bool = False
    is_late: bool = False
    """Whether it was not there from the beginning."""
    is_ending: bool = False

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

    def __init__(self, plan: Plan, tell: Callable[[int, Command], None]) -> None:
        """``tell`` sends a command to the worker of a number."""
        self._plan = plan
        self._tell = tell
        self._rng = random.SystemRandom()
        self._members: dict[int, Member] = {}
        for worker, share in enumerate(plan.shares):
            self._members |= {port: Member(port, worker) for port in share}
        self._free: dict[int, int] = {}
        """The worker of each port whose node died."""
        self._extra_left = SPARE_FILES // 2 // plan.files_per_node
        self._next_port = plan.ports.stop
        self.died = 0
        """How many have died since the beginning."""
        self.came = 0
        """How many have joined of those that were not there from the beginning."""

    @property
    def all(self) -> list[Member]:
        """Those that are there, or about to come."""
        return list(self._members.values())

    @property
    def joined(self) -> int:
        """How many have joined, and live."""
        return sum(each.joined for each in self._members.values())

    def kill(self) -> Member:
        """End one of those that have joined, any of them, without a word to others."""
        living = [each for each in self.all if each.joined and not each.is_ending]
        if not living:
            raise SwarmRefusal("no node has joined that could be killed")
        chosen = self._rng.choice(living)
        chosen.is_ending = True
        self._tell(chosen.worker, Command(do="kill", port=chosen.port))
        return chosen

    def join(self) -> Member:
        """Have a node come: one that died, knowing nothing of before, or else one more."""
        if self._free:
            port = self._rng.choice(list(self._free))
            worker = self._free.pop(port)
        else:
            port, worker = self._another_port(), self._emptiest()
        member = self._members[port] = Member(port, worker, is_late=True)
        self._tell(worker, Command(do="join", port=port))
        return member

    def moved(self, name: str, port: int) -> Member | None:
        """A worker tells that a node has begun, joined or ended; who that is."""
        member = self._members.get(port)
        if member is None:
            return None
        if name == "node-joined":
            member.joined = True
            self.came += member.is_late
        elif name == "node-ended":
            self.died += member.joined
            member.joined = False
            del self._members[port]
            self._free[port] = member.worker
        return member

    def _another_port(self) -> int:
        """One behind those of the plan: there are a few, as each costs a worker open files."""
        port = self._next_port
        if port == self._plan.bootstrap[1]:
            port += 1
        if self._extra_left <= 0 or port > LAST_PORT:
            raise SwarmRefusal("no more nodes fit; one that dies makes room")
        self._extra_left -= 1
        self._next_port = port + 1
        return port

    def _emptiest(self) -> int:
        held = Counter(each.worker for each in self._members.values())
        return min(range(len(self._plan.shares)), key=lambda worker: held[worker])
