"""The metrics of a run, and whether they meet the scenario's requirements."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from kademlua.simulation.nodes.operation import WorkloadOperation
from kademlua.simulation.nodes.placement_audit import PlacementStats
from kademlua.simulation.scenario.scenario import (
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The complete result of one run."""

    scenario: Scenario
    seed: int
    fingerprint: str
    operations: list[WorkloadOperation]
    abandoned: int
    unfinished: int
    samples: list[NetworkSample]
    node_seconds: float
    """The integral of live nodes over the measured time."""
    packets: dict[str, int]
    """Packets sent, delivered and lost in the whole run."""
    machine: MachineUsage
    metrics: dict[str, float | None] = field(init=False)
    """Metrics over the whole measured time, by name; None if nothing was measured."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", self._compute_metrics())

    def metric(self, name: str, start: float = 0.0, end: float = math.inf) -> float | None:
        """Return a metric over a part of the measured time, or None without data."""
        if name in MACHINE_METRICS:
            return float(getattr(self.machine, name))
        if name in STATE_METRICS or name in PLACEMENT_METRICS:
            return self._state_metric(name, start, end)
        if name == "upkeep_bytes":
            by_purpose = self.purpose_rates()
            return sum(by_purpose.values()) - by_purpose.get("users", 0.0) if by_purpose else None
        kinds = {"adds": "add", "finds": "find", "crossing_finds": "find", "find": "find"}
        kinds |= dict.fromkeys(("finds_one_path", "finds_many_paths", "paths_latency"), "find")
        kind = kinds.get(name) or kinds.get(name.split("_p")[0], "lookup")
        operations = [
            each for each in self.operations if each.kind == kind and start <= each.started_at < end
        ]
        if name in ("adds", "finds"):
            return fraction_true(each.ok for each in operations)
        if name in ("finds_one_path", "finds_many_paths"):
            return fraction_true(
                each.ok for each in operations if (each.path_count > 1) == (name[6] == "m")
            )
        if name == "paths_latency":
            one, many = (
                [e.seconds for e in operations if e.ok and (e.path_count > 1) == m] for m in (0, 1)
            )
            return fmean(many) / fmean(one) if many and any(one) else None
        if name == "crossing_finds":
            return fraction_true(each.ok for each in operations if each.crosses_partition)
        operations = [each for each in operations if each.ok]
        if not operations:
            return None
        if name == "recall":
            return fmean(each.recall for each in operations)
        if name == "rpcs_a_lookup":
            return fmean(each.query_count for each in operations)
        what, _, percent = name.rpartition("_p")
        values = [each.hops if what == "hops" else each.seconds for each in operations]
        return percentile(values, int(percent))

    def _state_metric(self, name: str, start: float, end: float) -> float | None:
        """Return a metric of the last sample in a period; the maximum for early and late ends."""
        samples = [each for each in self.samples if start <= each.at <= end]
        if not samples:
            return None
        if name in STATE_METRICS:
            return float(getattr(samples[-1], name))
        if not self.scenario.has_values:
            return None
        if name in ("early_end", "late_end"):
            return max(float(getattr(each.placement, name)) for each in samples)
        return float(getattr(samples[-1].placement, name))

    def _compute_metrics(self) -> dict[str, float | None]:
        metrics = {name: self.metric(name) for name in METRICS if name not in MACHINE_METRICS}
        last = self.samples[-1] if self.samples else None
        if last is not None and self.node_seconds:
            metrics["rpcs_a_node_second"] = sum(last.requests_by_rpc.values()) / self.node_seconds
            metrics["bytes_a_node_second"] = sum(last.bytes_by_rpc.values()) / self.node_seconds
        return metrics

    def purpose_rates(self) -> dict[str, float]:
        """Return bytes per node and second, by purpose."""
        if not self.samples or not self.node_seconds:
            return {}
        bytes_by_purpose = self.samples[-1].bytes_by_purpose
        return {
            cause: bytes_by_purpose[cause] / self.node_seconds for cause in sorted(bytes_by_purpose)
        }

    def rpc_rates(self) -> dict[str, tuple[float, float]]:
        """Return requests, and bytes with replies, per node and second, by RPC."""
        if not self.samples or not self.node_seconds:
            return {}
        last = self.samples[-1]
        return {
            kind: (
                last.requests_by_rpc.get(kind, 0) / self.node_seconds,
                last.bytes_by_rpc.get(kind, 0) / self.node_seconds,
            )
            for kind in sorted(last.bytes_by_rpc)
        }


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
