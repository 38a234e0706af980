"""The workload: adds, finds and lookups on the simulated nodes, and their results."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import Any

import gevent
from gevent.pool import Group

from kademlua.core.errors import KademluaError
from kademlua.core.ids import to_int
from kademlua.simulation.clock.loop import sleep_until, virtual_now
from kademlua.simulation.network.traffic_tap import LookupWatch
from kademlua.simulation.nodes.bulk_workload import BulkWorkload
from kademlua.simulation.nodes.member import PopulationMember
from kademlua.simulation.nodes.object_workload import ObjectWorkload
from kademlua.simulation.nodes.operation import (
    OperationListener,
    WorkloadOperation,
    lookup_seeds,
    recall,
)
from kademlua.simulation.nodes.placement_audit import WorkloadValue
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.nodes.watch_workload import WatchWorkload
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import Scenario

_TAG_BYTES = 16
_FINISH_SECONDS = 120.0
"""Virtual seconds after the end in which pending operations may finish."""


class Workload:
    """Drives the nodes of a population and records what their operations achieve."""

    def __init__(
        self,
        scenario: Scenario,
        streams: RngStreams,
        population: Population,
        on_operation: OperationListener | None = None,
    ) -> None:
        self._scenario = scenario
        self._streams = streams
        self._population = population
        self.values: list[WorkloadValue] = []
        """The values whose add was acknowledged."""
        self._values_to_find: list[WorkloadValue] = []
        self._operation_count = self._find_count = 0
        self._secret = streams.stream("secret").randbytes(32)
        self._on_operation = on_operation
        self._pending = Group()
        self._objects = ObjectWorkload(scenario.workload, self)
        self._watches = WatchWorkload(scenario, self, population)
        self.bulk = BulkWorkload(scenario.workload, population)
        """The part with many keys at a time."""
        self.operations: list[WorkloadOperation] = []
        """Finished operations, in the order of their ends."""
        self.abandoned = 0
        """Operations whose own node stopped before they ended."""

    def warm_up(self) -> None:
        """Add the initial values; block for the ``warm_up`` seconds."""
        settings = self._scenario.workload
        started_at = virtual_now()
        if settings.objects:
            store = self._objects.start_put
            gevent.spawn(self._start_paced, "objects", store, settings.objects, settings.warm_up)
        if settings.watches:
            watch = self._watches.start_watch
            gevent.spawn(self._start_paced, "watches", watch, settings.watches, settings.warm_up)
        values = settings.values + round(settings.values_a_node * self._scenario.nodes)
        self._start_paced("values", self._start_add, values, settings.warm_up)
        sleep_until(started_at + settings.warm_up)

    def run(self) -> None:
        """Run the measured operations; block until all end, at most 120 s after the duration."""
        settings, seconds = self._scenario.workload, self._scenario.duration
        schedules = [
            gevent.spawn(self._start_paced, kind, operation, count, seconds)
            for kind, operation, count in (
                ("adds", self._start_add, settings.adds),
                ("finds", self._start_find, settings.finds),
                ("lookups", self._start_lookup, settings.lookups),
                ("object_reads", self._objects.start_read, settings.object_reads),
                ("changes", self._watches.start_change, settings.changes),
            )
        ]
        if settings.bulk_keys:
            self._pending.spawn(self.bulk.run, self._streams.stream("workload", "bulk"))
        sleep_until(self._scenario.measure_end)
        gevent.joinall(schedules)
        self._pending.join(_FINISH_SECONDS)

    @property
    def unfinished(self) -> int:
        """The number of operations that have not ended."""
        return len(self._pending)

    def _start_paced(
        self, name: str, start: Callable[[random.Random], None], count: int, seconds: float
    ) -> None:
        """Start ``count`` operations, one at a random moment of each ``seconds / count``."""
        rng = self._streams.stream("workload", name)
        started_at = virtual_now()
        for number in range(count):
            sleep_until(started_at + (number + rng.random()) * seconds / count)
            start(rng)

    def _start_add(self, rng: random.Random) -> None:
        key = rng.randbytes(20)
        if self._scenario.sybils is not None:
            key = self._population.attacked_key[:-8] + key[-8:]
        value = rng.randbytes(self._scenario.workload.value_bytes)
        if self._scenario.workload.records:
            value += self._tag(key, value)
        writer = self.pick_live_member(rng)
        if writer is None:
            return
        population, node = self._population, writer.live_node
        population.traffic.value_keys.add(key)

        def execute(operation: WorkloadOperation, watch: LookupWatch) -> None:
            was_partitioned, added_at = population.is_partitioned, virtual_now()
            ttl = self._scenario.workload.ttl or node.params.ttl
            node.add(key, value, ttl=ttl)
            operation.ok = True
            partition_side = (
                writer.partition_side if was_partitioned or population.is_partitioned else None
            )
            self.values.append(WorkloadValue(key, value, partition_side, added_at, ttl))

        self.spawn("add", writer, key, execute)

    def _start_find(self, rng: random.Random) -> None:
        reader = self.pick_live_member(rng)
        wanted = self._next_value(rng, reader) if reader is not None else None
        if reader is None or wanted is None:
            return
        node, settings = reader.live_node, self._scenario.workload
        self._find_count += 1
        path_count = settings.paths if self._find_count % 2 == 0 else 1

        def keep_genuine(values: list[Any]) -> list[Any]:
            return [value for value in values if self._is_genuine(wanted.key, value)]

        def execute(operation: WorkloadOperation, watch: LookupWatch) -> None:
            operation.path_count = path_count
            operation.crosses_partition = (
                wanted.partition_side is not None and wanted.partition_side != reader.partition_side
            )
            results = node.find_value(
                wanted.key,
                1 if settings.records else 3,
                value_filter=keep_genuine if settings.records else None,
                paths=path_count,
            )
            operation.ok = any(wanted.value in answer.values for answer in results)
            if operation.ok:
                # The node itself needs no query.
                others = [answer.contact for answer in results if answer.contact.id != node.id]
                operation.hops = min(map(watch.hops, others)) if len(others) == len(results) else 0
            else:
                operation.failure_reason = "not found"

        self.spawn("find", reader, wanted.key, execute)

    def _tag(self, key: bytes, value: bytes) -> bytes:
        """Return the keyed hash that stands for a record's signature."""
        return hashlib.blake2b(key + value, key=self._secret, digest_size=_TAG_BYTES).digest()

    def _is_genuine(self, key: bytes, value: object) -> bool:
        return isinstance(value, bytes) and value[-_TAG_BYTES:] == self._tag(
            key, value[:-_TAG_BYTES]
        )

    def _start_lookup(self, rng: random.Random) -> None:
        target = rng.randbytes(20)
        searcher = self.pick_live_member(rng)
        if searcher is None:
            return
        node = searcher.live_node

        def execute(operation: WorkloadOperation, watch: LookupWatch) -> None:
            started_at = virtual_now()
            found = node.find_node(target)
            true_closest = self._population.closest(target, searcher, started_at, node.params.k)
            operation.recall = recall(to_int(target), found, true_closest, node.params.k)
            operation.ok = bool(found)
            if found:
                operation.hops = watch.hops(found[0])
            else:
                operation.failure_reason = "no node found"

        self.spawn("lookup", searcher, target, execute)

    def spawn(
        self,
        kind: str,
        member: PopulationMember,
        key: bytes,
        execute: Callable[[WorkloadOperation, LookupWatch], None],
    ) -> None:
        """Run an operation of a member in a greenlet of its own."""
        self._pending.spawn(self._run_operation, kind, member, key, execute)

    def _run_operation(
        self,
        kind: str,
        member: PopulationMember,
        key: bytes,
        execute: Callable[[WorkloadOperation, LookupWatch], None],
    ) -> None:
        self._operation_count += 1
        operation = WorkloadOperation(
            self._operation_count, kind, virtual_now() - self._scenario.measure_start
        )
        node, tap = member.node, member.tap
        if node is not None and tap is not None:
            if self._on_operation is not None:
                self._on_operation(operation, member, key)
            watch = tap.watch_lookup(key, lookup_seeds(node, key))
            try:
                execute(operation, watch)
            except KademluaError as error:
                operation.failure_reason = f"{type(error).__name__}: {error}"
            tap.unwatch_lookup(key)
            operation.query_count = watch.query_count
            operation.ended_at = virtual_now() - self._scenario.measure_start
        if node is None or member.node is not node:
            self.abandoned += 1
        else:
            self.operations.append(operation)
            if self._on_operation is not None:
                self._on_operation(operation, member, key)

    def pick_live_member(self, rng: random.Random) -> PopulationMember | None:
        """Return a random live member that is not paused; None if there seems to be none."""
        live = self._population.live_members
        for _ in range(100):
            member = rng.choice(live) if live else None
            if member is not None and not member.is_paused:
                return member
        return None

    def _next_value(self, rng: random.Random, reader: PopulationMember) -> WorkloadValue | None:
        """Return the next value to find; all values take turns in random order.

        Skip values that expired or that were added on the other side of the current partition.
        """
        now = virtual_now()
        is_partitioned = self._population.is_partitioned
        for _ in range(len(self.values)):
            if not self._values_to_find:
                self._values_to_find = rng.sample(self.values, len(self.values))
            value = self._values_to_find.pop()
            is_expired = now > value.added_at + 0.99 * value.ttl
            if not is_expired and not (
                is_partitioned and value.partition_side not in (None, reader.partition_side)
            ):
                return value
        return None
