"""Histories on virtual time: a dozen nodes, half of them with stores that survive a kill."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import gevent

from kademlua import Node, Params, SigningKey
from kademlua.core.contact import Contact, Endpoint
from kademlua.core.results import StoreReport
from kademlua.core.values import records
from kademlua.core.wire import replies
from kademlua.runtime.clocks import Clocks
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.network.conditions import NetworkConditions
from kademlua.storage.node_state import NodeState
from tests.history.driver import Driver, Member, Outcome
from tests.history.faults import VIRTUAL_KINDS, Climate, Fault, FaultKind, schedule
from tests.history.machines import LossyTransport, Machine
from tests.history.model import History, Kind, Write
from tests.history.rules import Bounds
from tests.history.workload import Mix, Step, Workload
from tests.support.world import World

SLOTS = 12
PARAMS = Params(
    replicas=5,
    replicate_interval=300,
    republish_interval=600,
    maintenance_interval=5,
    freshness_window=60,
    refresh_interval=600,
)
BOUNDS = Bounds(
    replicas=PARAMS.replicas, grace=2 * PARAMS.replicate_interval, settle=60, rejoin=240
)
CLIMATE = Climate(
    slots=SLOTS,
    duration=3_000,
    storm=300,
    calm=1_100,
    between=15,
    lasts=40,
    kinds=VIRTUAL_KINDS,
)
MIX = Mix(ttls=(120, 600, 3_600))
BETWEEN = 3.0
"""Mean seconds between two operations."""


@dataclass(slots=True)
class VirtualMember(Member):
    """A node with what belongs to it."""

    node: Node
    state: NodeState | None


class VirtualCluster:
    """Nodes in one world. Even slots have a disk."""

    def __init__(self, world: World, directory: Path, rng: random.Random) -> None:
        self.members: dict[int, VirtualMember] = {}
        self._world = world
        self._directory = directory
        self._rng = rng
        self._machines = [Machine() for _ in range(SLOTS)]
        self._endpoints: dict[int, Endpoint] = {}
        """Those of the slots with a disk."""
        self._starts = 0
        self._one_way: dict[Fault, tuple[Endpoint, set[Endpoint]]] = {}
        self._signers = [SigningKey(bytes([number]) * 32) for number in range(MIX.signer_count)]
        self.signer_keys = [
            records.signed_key(each.public_key, b"").hex() for each in self._signers
        ]

    now = staticmethod(virtual_now)

    # Nodes

    def start(self, slot: int) -> VirtualMember:
        """Start a node: with its id, endpoint and store of before if it has a disk."""
        machine, keeps_disk = self._machines[slot], slot % 2 == 0
        state = self._open_state(slot, machine) if keeps_disk else None
        self._starts += 1
        endpoint = self._endpoints.get(
            slot, (f"10.9.{self._starts >> 8}.{self._starts & 255}", 4000)
        )
        transport = LossyTransport(self._world.net.transport(*endpoint), self._is_lost)
        others = sorted(self.members.values(), key=lambda each: each.slot)
        options = {} if state is None else _options_of(state)
        node = self._world.unstarted_node(
            *[each.node for each in others],
            endpoint=endpoint,
            params=PARAMS,
            clock=machine.clock,
            wall_clock=machine.wall_clock,
            transport=transport,
            **options,
        )
        if state is not None:
            state.persist_id(node.id)
            self._endpoints[slot] = endpoint
        node.start()
        if state is not None:
            state.start_autosave(node)
        member = VirtualMember(slot, node.id.hex(), keeps_disk, node, state)
        self.members[slot] = member
        return member

    def kill(self, slot: int) -> None:
        """End a node. What is not committed is lost: its next run gets a copy of the files."""
        member = self.members.pop(slot)
        if member.state is not None:
            path = member.state.path
            shutil.copytree(path, path.with_name(f"{path.name}+"))
        member.node.close(hand_over=False)
        if member.state is not None:
            member.state.close()
            shutil.rmtree(member.state.path)

    def close(self, slot: int) -> None:
        """End a node with a handover."""
        member = self.members.pop(slot)
        member.node.close()
        if member.state is not None:
            member.state.save_table(member.node)
            member.state.close()

    def end_all(self) -> None:
        """End all nodes and close their stores."""
        for slot in list(self.members):
            member = self.members.pop(slot)
            member.node.close(hand_over=False)
            if member.state is not None:
                member.state.close()

    def _open_state(self, slot: int, machine: Machine) -> NodeState:
        path = self._directory / f"slot-{slot}"
        while path.with_name(f"{path.name}+").exists():
            path = path.with_name(f"{path.name}+")
        clocks = Clocks(clock=machine.clock, wall_clock=machine.wall_clock, boot_id=b"a boot")
        return NodeState(path, PARAMS, clocks=clocks, in_background=False)

    # Faults

    def begin(self, fault: Fault) -> None:
        """Disturb the network, or a machine."""
        net, kind = self._world.net, fault.kind
        if kind is FaultKind.CLOCK:
            self._machines[fault.slots[0]].wall_offset += fault.amount
            return
        endpoints = [self.members[each].node.contact.endpoint for each in fault.slots]
        if kind in (FaultKind.PAUSE, FaultKind.UNPLUG):
            net.pause(endpoints[0])
        if kind is FaultKind.PAUSE:
            self._machines[fault.slots[0]].fall_asleep()
        elif kind is FaultKind.PARTITION:
            net.partition([set(endpoints)])
        elif kind is FaultKind.LOSS:
            net.conditions = NetworkConditions(loss=fault.amount)
        elif kind is FaultKind.ONE_WAY:
            self._one_way[fault] = endpoints[0], set(endpoints[1:])

    def end(self, fault: Fault) -> None:
        """End a fault, except for the error of a wall clock."""
        kind = fault.kind
        if kind is FaultKind.PAUSE:
            self._machines[fault.slots[0]].wake_up()
        if kind in (FaultKind.PAUSE, FaultKind.UNPLUG):
            self._world.net.resume(self.members[fault.slots[0]].node.contact.endpoint)
        elif kind is FaultKind.PARTITION:
            self._world.net.heal()
        elif kind is FaultKind.LOSS:
            self._world.net.conditions = NetworkConditions()
        elif kind is FaultKind.ONE_WAY:
            del self._one_way[fault]

    def _is_lost(self, source: Endpoint, destination: Endpoint) -> bool:
        return any(
            source == sender and destination in receivers
            for sender, receivers in self._one_way.values()
        )

    # Operations

    def write(self, member: Member, step: Step) -> Outcome:
        """Perform a write."""
        node, key = self.members[member.slot].node, bytes.fromhex(step.key)
        match step.kind:
            case Kind.ADD:
                return _outcome(node.add(key, step.value, ttl=step.ttl))
            case Kind.PUBLISH:
                return _outcome(node.publish(key, step.value, ttl=step.ttl))
            case Kind.REMOVE:
                return _outcome(node.remove(key))
            case Kind.IMMUTABLE:
                return _outcome(node.put_immutable(step.value, ttl=step.ttl).report)
            case Kind.SIGNED:
                signer = self._signers[step.signer]
                put = node.put_signed(step.value, signer, seq=step.seq, ttl=step.ttl)
                return _outcome(put.report)
        node.unpublish(key)
        return Outcome(frozenset())

    def find(self, member: Member, step: Step) -> dict[str, tuple[bytes, ...]]:
        """Return the values of each node; of a signed record, its value."""
        node = self.members[member.slot].node
        max_nodes = SLOTS if step.is_exhaustive else 3
        answers = node.find_value(bytes.fromhex(step.key), max_nodes)
        return {
            each.contact.id.hex(): tuple(_plain(value) for value in each.values) for each in answers
        }

    def holds(self, name: str, write: Write) -> bool | None:
        """Read the store of a running node."""
        for member in self.members.values():
            if member.name == name:
                entries = member.node.datastore.entries(bytes.fromhex(write.key))
                if write.kind is Kind.REMOVE:
                    return any(owner.id.hex() == write.owner for owner, _ in entries)
                return any(
                    _plain(replies.decode_value(entry.encoded)) == write.value
                    for _, entry in entries
                )
        return None


def run(seed: int) -> History:
    """Return the history of a seed."""
    world = World(seed)
    rng = random.Random(seed)
    histories: list[History] = []
    shared_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.exists() else None) as path:
        world.run(lambda: histories.append(_run(world, Path(path), rng)))
    return histories[0]


def _run(world: World, directory: Path, rng: random.Random) -> History:
    cluster = VirtualCluster(world, directory, rng)
    workload = Workload(random.Random(rng.random()), MIX, cluster.signer_keys)
    driver = Driver(cluster, workload, random.Random(rng.random()))
    try:
        for slot in range(SLOTS):
            driver.start(slot)
            gevent.sleep(0.5)
        driver.run(schedule(random.Random(rng.random()), CLIMATE), CLIMATE.duration, BETWEEN)
    finally:
        cluster.end_all()
    return driver.history


def _options_of(state: NodeState) -> dict[str, object]:
    return {
        "id": state.id,
        "cached_endpoints": [each.endpoint for each in state.contacts],
        "store": state.store,
        "publication_store": state.publications,
    }


def _outcome(report: StoreReport) -> Outcome:
    without_value = [each for each, reason in report.refused if reason == replies.REASON_NO_VALUE]
    return Outcome(_names(report.acknowledged), _names(without_value))


def _names(contacts: list[Contact]) -> frozenset[str]:
    return frozenset(each.id.hex() for each in contacts)


def _plain(value: object) -> bytes:
    found = value.get(b"v") if isinstance(value, dict) else value
    assert isinstance(found, bytes)
    return found
