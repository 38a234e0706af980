"""The metrics of a run, and whether they meet the scenario's requirements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from kademlua.simulation.nodes.bulk_workload import BulkCosts
from kademlua.simulation.nodes.operation import WorkloadOperation
from kademlua.simulation.nodes.placement_audit import PlacementStats
from kademlua.simulation.scenario.scenario import (
    BULK_RATIOS,
    MACHINE_METRICS,
    METRICS,
    PLACEMENT_METRICS,
    STATE_METRICS,
    Requirement,
    Scenario,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSample:
    """The state of the network at one moment."""

    at: float
    """Seconds since measuring began."""
    nodes: int
    """Live honest nodes that had joined."""
    arrivals: int
    departures: int
    dead_contacts: float
    """The share of contacts in routing tables whose node does not run."""
    neighbours: float
    """The share of the nodes' true k closest that their routing tables contain."""
    hostile_contacts: float = 0.0
    """The share of contacts in routing tables that are hostile."""
    hostile_near_key: float = 0.0
    """The hostile share of the contacts that nodes near the attacked key return for it."""
    contacts: float
    """Mean number of contacts per routing table."""
    requests_by_rpc: dict[str, int]
    """Requests sent by all nodes since measuring began, by RPC."""
    bytes_by_rpc: dict[str, int]
    """Bytes of requests and replies since measuring began, by RPC."""
    bytes_by_purpose: dict[str, int] = field(default_factory=dict)
    """The same bytes by purpose."""
    placement: PlacementStats = field(default_factory=PlacementStats)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineUsage:
    """Resources that the run used; these differ between runs."""

    wall_seconds: float
    cpu_seconds: float
    joining_wall_seconds: float
    packets_a_wall_second: float
    """Delivered packets per second of wall time."""
    memory_mb: float
    """Peak memory of the process, in MB."""


_SHARES: dict[str, tuple[str, Callable[[WorkloadOperation], bool]]] = {
    "adds": ("add", lambda each: True),
    "finds": ("find", lambda each: True),
    "crossing_finds": ("find", lambda each: each.crosses_partition),
    "objects": ("object", lambda each: True),
    "changes": ("change", lambda each: True),
    "finds_one_path": ("find", lambda each: each.path_count == 1),
    "finds_many_paths": ("find", lambda each: each.path_count > 1),
}
"""Shares of successes: the kind of operations, and which of them count."""
_QUANTITIES = {
    "lookup": ("lookup", "seconds"),
    "find": ("find", "seconds"),
    "add": ("add", "seconds"),
    "object": ("object", "seconds"),
    "change": ("change", "seconds"),
    "hops": ("lookup", "hops"),
    "rpcs_a_lookup": ("lookup", "query_count"),
    "recall": ("lookup", "recall"),
}
"""Means and percentiles (``_p50``) of successes: the kind of operations, and their attribute."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The complete result of one run."""

    scenario: Scenario
    seed: int
    fingerprint: str
    operations: list[WorkloadOperation]
    abandoned: int
    unfinished: int
    samples: list[NetworkSample]
    """From the start to the end of measuring, at least one."""
    node_seconds: float
    """The integral of live nodes over the measured time."""
    packets: dict[str, int]
    """Packets sent, delivered and lost in the whole run."""
    machine: MachineUsage
    bulk: BulkCosts | None = None
    """What the operations with many keys took; None without such operations."""

    @cached_property
    def metrics(self) -> dict[str, float | None]:
        """Metrics over the whole measured time, by name; None if nothing was measured."""
        metrics = {name: self.metric(name) for name in METRICS if name not in MACHINE_METRICS}
        if self.node_seconds:
            last = self.samples[-1]
            metrics["rpcs_a_node_second"] = sum(last.requests_by_rpc.values()) / self.node_seconds
            metrics["bytes_a_node_second"] = sum(last.bytes_by_rpc.values()) / self.node_seconds
        return metrics

    def metric(self, name: str, start: float = 0.0, end: float = math.inf) -> float | None:
        """Return a metric over a part of the measured time, or None without data."""
        if name in MACHINE_METRICS:
            return float(getattr(self.machine, name))
        if name in STATE_METRICS or name in PLACEMENT_METRICS:
            return self._state_metric(name, start, end)
        if name == "bulk_adds" or name in BULK_RATIOS:
            return None if self.bulk is None else float(getattr(self.bulk, name))
        if name == "upkeep_bytes":
            by_purpose = self.purpose_rates()
            return sum(by_purpose.values()) - by_purpose.get("users", 0.0) if by_purpose else None
        operations = [each for each in self.operations if start <= each.started_at < end]
        if name == "paths_latency":
            return _paths_latency(operations)
        if name in _SHARES:
            kind, is_counted = _SHARES[name]
            return fraction_true(e.ok for e in operations if e.kind == kind and is_counted(e))
        quantity, _, percent = name.partition("_p")
        kind, attribute = _QUANTITIES[quantity]
        values = [getattr(each, attribute) for each in operations if each.kind == kind and each.ok]
        if not values:
            return None
        return percentile(values, int(percent)) if percent else fmean(values)

    def _state_metric(self, name: str, start: float, end: float) -> float | None:
        """Return a metric of the last sample in a period; the maximum for early and late ends."""
        samples = [each for each in self.samples if start <= each.at <= end]
        if not samples or (name in PLACEMENT_METRICS and not self.scenario.has_values):
            return None
        if name in ("early_end", "late_end"):
            return max(float(getattr(each.placement, name)) for each in samples)
        last = samples[-1]
        return float(getattr(last if name in STATE_METRICS else last.placement, name))

    def purpose_rates(self) -> dict[str, float]:
        """Return bytes per node and second, by purpose."""
        return self._rates(self.samples[-1].bytes_by_purpose)

    def rpc_rates(self) -> dict[str, tuple[float, float]]:
        """Return requests, and bytes with replies, per node and second, by RPC."""
        requests = self._rates(self.samples[-1].requests_by_rpc)
        sizes = self._rates(self.samples[-1].bytes_by_rpc)
        return {kind: (requests.get(kind, 0.0), size) for kind, size in sizes.items()}

    def _rates(self, counts: dict[str, int]) -> dict[str, float]:
        if not self.node_seconds:
            return {}
        return {name: counts[name] / self.node_seconds for name in sorted(counts)}


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """A requirement and the measured value."""

    requirement: Requirement
    value: float | None
    """The measured value; None if nothing was measured, which does not meet a requirement."""

    @property
    def is_met(self) -> bool:
        """Whether the value lies within the bounds."""
        if self.value is None:
            return False
        low = -math.inf if self.requirement.at_least is None else self.requirement.at_least
        high = math.inf if self.requirement.at_most is None else self.requirement.at_most
        return low <= self.value <= high


def evaluate(result: RunResult) -> list[RequirementResult]:
    """Evaluate each requirement of the scenario."""
    return [
        RequirementResult(each, result.metric(each.metric, each.start, each.end))
        for each in result.scenario.requirements
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the percentile of the values by the nearest-rank method."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def fraction_true(flags: Iterable[bool]) -> float | None:
    """Return the share of true flags; None without flags."""
    values = list(flags)
    return sum(values) / len(values) if values else None


def _paths_latency(operations: list[WorkloadOperation]) -> float | None:
    finds = [each for each in operations if each.kind == "find" and each.ok]
    one = [each.seconds for each in finds if each.path_count == 1]
    many = [each.seconds for each in finds if each.path_count > 1]
    return fmean(many) / fmean(one) if many and any(one) else None
