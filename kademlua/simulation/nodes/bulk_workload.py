"""The part of the workload with many keys at a time, beside as many single adds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from gevent.pool import Pool

from kademlua.core.errors import KademluaError
from kademlua.node.node import Node
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.scenario.scenario import WorkloadSettings

_IDLE_SECONDS = 30.0
_SINGLE_SHARE = 10
"""Keys of the bulk operation for each single add; its cost is scaled."""
_SINGLE_CONCURRENCY = 32

Rows = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkCosts:
    """What ``add_many`` achieved and took."""

    bulk_adds: float
    """The share of the keys that reached all replicas."""
    bulk_packets: float
    """Packets of all nodes, without those of maintenance, divided by those of single adds."""
    bulk_time: float
    """Virtual seconds, divided by those of single adds, 32 at a time."""


class BulkWorkload:
    """Adds keys one by one and many at a time, each by one node."""

    def __init__(self, settings: WorkloadSettings, population: Population) -> None:
        self._settings = settings
        self._population = population
        self.costs: BulkCosts | None = None
        """The result; None before the end."""

    def run(self, rng: random.Random) -> None:
        """Measure; block until the end."""
        count = self._settings.bulk_keys
        members = self._population.live_members
        single_writer, bulk_writer = (each.live_node for each in rng.sample(members, 2))
        singles = max(1, count // _SINGLE_SHARE)
        packets = self._packets()
        gevent.sleep(_IDLE_SECONDS)
        idle_rate = (self._packets() - packets) / _IDLE_SECONDS
        rows = self._rows(rng, singles)
        single_packets, single_seconds = self._cost(
            lambda: _add_singly(single_writer, rows), idle_rate
        )
        rows, complete = self._rows(rng, count), 0
        replicas = bulk_writer.params.replicas

        def add_many() -> None:
            nonlocal complete
            for result in bulk_writer.add_many(rows):
                report = result.report
                complete += report is not None and len(report.acknowledged) >= replicas

        bulk_packets, bulk_seconds = self._cost(add_many, idle_rate)
        scale = count / singles
        self.costs = BulkCosts(
            bulk_adds=complete / count,
            bulk_packets=bulk_packets / (single_packets * scale),
            bulk_time=bulk_seconds / (single_seconds * scale),
        )

    def _rows(self, rng: random.Random, count: int) -> Rows:
        size = self._settings.value_bytes
        return [(rng.randbytes(20), rng.randbytes(size)) for _ in range(count)]

    def _cost(self, operation: Callable[[], None], idle_rate: float) -> tuple[float, float]:
        """Return the packets and virtual seconds of an operation."""
        packets, started_at = self._packets(), virtual_now()
        operation()
        seconds = virtual_now() - started_at
        return self._packets() - packets - idle_rate * seconds, seconds

    def _packets(self) -> int:
        return sum(each.live_node.stats()["packets_out"] for each in self._population.live_members)


def _add_singly(node: Node, rows: Rows) -> None:
    def add(key: bytes, value: bytes) -> None:
        try:
            node.add(key, value)
        except KademluaError:
            return  # what it cost counts

    pool: Pool = Pool(_SINGLE_CONCURRENCY)
    for key, value in rows:
        pool.spawn(add, key, value)
    pool.join()
