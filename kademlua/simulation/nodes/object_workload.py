"""The part of the workload with objects: stored by some nodes, and read by others."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from kademlua.simulation.network.traffic_tap import LookupWatch
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.nodes.operation import WorkloadOperation
from kademlua.simulation.scenario.scenario import WorkloadSettings

Execute = Callable[[WorkloadOperation, LookupWatch], None]


class OperationRunner(Protocol):
    """Runs operations of the workload, and records their results."""

    def pick_live_member(self, rng: random.Random) -> PopulationMember | None:
        """Return a random live member; None if there seems to be none."""

    def spawn(self, kind: str, member: PopulationMember, key: bytes, execute: Execute) -> None:
        """Run an operation in a greenlet of its own."""


@dataclass(frozen=True, slots=True)
class WorkloadObject:
    """An object that was stored."""

    key: bytes
    content: bytes


class ObjectWorkload:
    """Stores objects of random content, and reads the whole or a part of them."""

    def __init__(self, settings: WorkloadSettings, runner: OperationRunner) -> None:
        self._settings = settings
        self._runner = runner
        self._objects: list[WorkloadObject] = []

    def start_put(self, rng: random.Random) -> None:
        """Store an object."""
        content = rng.randbytes(self._settings.object_bytes)
        writer = self._runner.pick_live_member(rng)
        if writer is None:
            return
        node = writer.live_node

        def execute(operation: WorkloadOperation, watch: LookupWatch) -> None:
            key = node.put_object(content, ttl=self._settings.ttl or None)
            operation.ok = True
            self._objects.append(WorkloadObject(key, content))

        self._runner.spawn("put", writer, rng.randbytes(20), execute)

    def start_read(self, rng: random.Random) -> None:
        """Read an object: every second time a range of it."""
        reader = self._runner.pick_live_member(rng)
        if reader is None or not self._objects:
            return
        node, wanted = reader.live_node, rng.choice(self._objects)
        start, end = 0, len(wanted.content)
        if rng.random() < 0.5:
            start, end = sorted((rng.randrange(end + 1), rng.randrange(end + 1)))

        def execute(operation: WorkloadOperation, watch: LookupWatch) -> None:
            with node.open_object(wanted.key) as file:
                file.seek(start)
                content = file.read(end - start)
                operation.ok = content == wanted.content[start:end]
                if not operation.ok:
                    operation.failure_reason = "not the content"
                    file.read(1)  # raises the error that cut it short

        self._runner.spawn("object", reader, wanted.key, execute)
