"""Drives a cluster of nodes through faults and operations, and records the history.

It runs on gevent, in virtual or real time. A cluster knows how to start, disturb and ask nodes.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import gevent
from gevent.greenlet import Greenlet

from kademlua.core.errors import KademluaError
from tests.history.faults import Fault, FaultKind
from tests.history.model import (
    NODES_TOGETHER,
    Find,
    History,
    Kind,
    NodeLife,
    Outage,
    Partition,
    Write,
)
from tests.history.workload import Step, Workload

_REPEAT_OWNER = 0.6
"""The probability that a write comes from a node that wrote to the key before."""


class Outcome(NamedTuple):
    """Which nodes acknowledged a write, and which others know of it."""

    acknowledged: frozenset[str]
    also_informed: frozenset[str] = frozenset()


@dataclass(slots=True)
class Member:
    """A running node of a cluster."""

    slot: int
    name: str
    keeps_disk: bool


class Cluster(Protocol):
    """Nodes in numbered slots. A node that starts again in its slot keeps its disk, if any."""

    @property
    def members(self) -> Mapping[int, Member]:
        """The running nodes, by slot."""

    def now(self) -> float:
        """Return the seconds since the run began."""

    def start(self, slot: int) -> Member:
        """Start a node."""

    def kill(self, slot: int) -> None:
        """End a node immediately."""

    def close(self, slot: int) -> None:
        """End a node in an orderly way; block until it has ended."""

    def begin(self, fault: Fault) -> None:
        """Begin a fault of another kind."""

    def end(self, fault: Fault) -> None:
        """End it."""

    def write(self, member: Member, step: Step) -> Outcome:
        """Perform a write; raise KademluaError if it failed."""

    def find(self, member: Member, step: Step) -> dict[str, tuple[bytes, ...]]:
        """Return the values that each node returned; raise KademluaError if it failed."""

    def holds(self, name: str, write: Write) -> bool | None:
        """Return whether a node's store has the written value now; None if the node has ended.

        Of a remove: whether it has a value of the owner.
        """


class Driver:
    """One run."""

    def __init__(self, cluster: Cluster, workload: Workload, rng: random.Random) -> None:
        self.history = History()
        self._cluster = cluster
        self._workload = workload
        self._rng = rng
        self._greenlets: list[Greenlet[..., None]] = []
        self._disturbed: set[int] = set()
        """Slots with a fault now."""
        self._paused: set[int] = set()
        self._writing: set[tuple[str, str]] = set()
        """The owners and keys of writes in progress."""

    def run(self, faults: list[Fault], duration: float, between: float) -> None:
        """Run until ``duration``, with an operation every ``between`` seconds on average."""
        for fault in faults:
            self._spawn(self._run_fault, fault)
        while self._cluster.now() < duration:
            gevent.sleep(self._rng.expovariate(1 / between))
            self._spawn(self._run_step, self._workload.next())
        gevent.joinall(self._greenlets, raise_error=True)

    def start(self, slot: int) -> None:
        """Start a node in a slot."""
        began = self._cluster.now()
        member = self._cluster.start(slot)
        life = self.history.nodes.setdefault(member.name, NodeLife(member.name, member.keeps_disk))
        life.runs.append([began, math.inf])
        self._note(f"{member.name[:8]} starts in slot {slot}{' (disk)' * member.keeps_disk}")

    def _spawn(self, function: Callable[..., None], *args: object) -> None:
        self._greenlets.append(gevent.spawn(function, *args))
        if len(self._greenlets) > 200:
            gevent.joinall([each for each in self._greenlets if each.dead], raise_error=True)
            self._greenlets = [each for each in self._greenlets if not each.dead]

    def _note(self, text: str) -> None:
        self.history.notes.append((self._cluster.now(), text))

    # Faults

    def _run_fault(self, fault: Fault) -> None:
        gevent.sleep(max(0.0, fault.at - self._cluster.now()))
        if fault.kind is FaultKind.CLOCK:
            self._note(str(fault))
            self._cluster.begin(fault)
            return
        if self._disturbed & set(fault.slots) or self._continues(fault.kind):
            return
        self._disturbed |= set(fault.slots)
        self._note(str(fault))
        if fault.kind in (FaultKind.KILL, FaultKind.CLOSE):
            self._end_node(fault)
        else:
            self._disturb(fault)
        self._disturbed -= set(fault.slots)

    def _continues(self, kind: FaultKind) -> bool:
        """Return whether there is a fault of this kind, of which there can be only one."""
        if kind is FaultKind.PARTITION:
            return any(each.ended == math.inf for each in self.history.partitions)
        return kind is FaultKind.LOSS and any(
            each.name == NODES_TOGETHER and each.ended == math.inf for each in self.history.outages
        )

    def _end_node(self, fault: Fault) -> None:
        slot = fault.slots[0]
        life = self.history.nodes[self._cluster.members[slot].name]
        life.runs[-1][1] = self._cluster.now()
        if fault.kind is FaultKind.KILL:
            self._cluster.kill(slot)
        else:
            self._cluster.close(slot)
        gevent.sleep(fault.lasts)
        self.start(slot)

    def _disturb(self, fault: Fault) -> None:
        names = [self._cluster.members[each].name for each in fault.slots]
        now = self._cluster.now()
        records: list[Outage | Partition] = []
        if fault.kind is FaultKind.PARTITION:
            self.history.partitions.append(partition := Partition(frozenset(names), now))
            records.append(partition)
        else:
            outages = [Outage(each, now) for each in names or [NODES_TOGETHER]]
            self.history.outages += outages
            records += outages
        self._paused |= set(fault.slots) if fault.kind is FaultKind.PAUSE else set()
        self._cluster.begin(fault)
        gevent.sleep(fault.lasts)
        self._cluster.end(fault)
        self._paused -= set(fault.slots) if fault.kind is FaultKind.PAUSE else set()
        for each in records:
            each.ended = self._cluster.now()
        self._note(f"{fault.kind.value} {', '.join(map(str, fault.slots))} ended")

    # Operations

    def _run_step(self, step: Step) -> None:
        member = self._choose_member(step)
        if member is None:
            return
        if step.kind is None:
            self._run_find(member, step)
            return
        owner = member.name
        if step.kind in (Kind.SIGNED, Kind.IMMUTABLE):
            owner = step.key
        if (owner, step.key) in self._writing:
            return
        self._writing.add((owner, step.key))
        try:
            self._run_write(member, step, owner)
        finally:
            self._writing.discard((owner, step.key))

    def _choose_member(self, step: Step) -> Member | None:
        members = [each for slot, each in self._cluster.members.items() if slot not in self._paused]
        members.sort(key=lambda each: each.slot)
        if step.kind is not None and self._rng.random() < _REPEAT_OWNER:
            owners = {each.owner for each in self.history.writes_of(step.key)}
            members = [each for each in members if each.name in owners] or members
        return self._rng.choice(members) if members else None

    def _run_find(self, member: Member, step: Step) -> None:
        find = Find(
            reader=member.name,
            key=step.key,
            started=self._cluster.now(),
            is_exhaustive=step.is_exhaustive,
        )
        self.history.finds.append(find)
        try:
            find.shown = self._cluster.find(member, step)
        except KademluaError as error:
            find.error = f"{type(error).__name__}: {error}"
        find.ended = self._cluster.now()

    def _run_write(self, member: Member, step: Step, owner: str) -> None:
        assert step.kind is not None
        write = Write(
            kind=step.kind,
            writer=member.name,
            owner=owner,
            key=step.key,
            value=step.value,
            ttl=step.ttl,
            seq=step.seq,
            started=self._cluster.now(),
        )
        self.history.writes.append(write)
        try:
            outcome = self._cluster.write(member, step)
        except KademluaError as error:
            write.error = f"{type(error).__name__}: {error}"
        else:
            write.acknowledged = outcome.acknowledged
            write.informed = outcome.acknowledged | outcome.also_informed
            self._inspect(write)
        write.ended = self._cluster.now()

    def _inspect(self, write: Write) -> None:
        if write.kind is Kind.UNPUBLISH:
            return
        held = {each: self._cluster.holds(each, write) for each in write.acknowledged}
        write.inspected = frozenset(each for each, is_held in held.items() if is_held is not None)
        write.disproved = frozenset(
            each for each in write.inspected if held[each] is (write.kind is Kind.REMOVE)
        )
