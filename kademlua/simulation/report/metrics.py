"""Figures: what a run came to, in numbers, and what its scenario demanded."""

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
    """Who had joined and lived."""
    arrivals: int
    departures: int
    dead_contacts: float
    """The share of contacts in tables whose node was gone."""
    neighbours: float
    """The share of nodes' true k nearest that their tables had."""
    hostile_contacts: float = 0.0
    """The share of contacts in tables that are hostile nodes."""
    hostile_near_key: float = 0.0
    """The same of what those next to the sybils' key tell of when asked for it."""
    contacts: float
    """Contacts in a table, on average."""
    requests_by_rpc: dict[str, int]
    """Sent by all nodes since measuring began, by RPC."""
    bytes_by_rpc: dict[str, int]
    """The same of bytes, answers included."""
    bytes_by_purpose: dict[str, int] = field(default_factory=dict)
    """The same of bytes, by what they were sent for."""
    placement: PlacementStats = field(default_factory=PlacementStats)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineUsage:
    """What the run took of this machine: differs from run to run."""

    wall_seconds: float
    cpu_seconds: float
    joining_wall_seconds: float
    packets_a_wall_second: float
    """Delivered ones."""
    memory_mb: float
    """The process's peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """All that is known of one run."""

    scenario: Scenario
    seed: int
    fingerprint: str
    operations: list[WorkloadOperation]
    abandoned: int
    unfinished: int
    samples: list[NetworkSample]
    node_seconds: float
    """Living nodes times seconds, while measuring."""
    packets: dict[str, int]
    """Sent, delivered and lost in the whole run."""
    machine: MachineUsage
    metrics: dict[str, float | None] = field(init=False)
    """By name, over the whole measured time; None where there is nothing to tell."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", self._compute_metrics())

    def metric(self, name: str, start: float = 0.0, end: float = math.inf) -> float | None:
        """One figure over a part of the measured time."""
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
        """The last look in that time; of ends that are wrong, the worst."""
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
        """Bytes a node and second, by what they were sent for."""
        if not self.samples or not self.node_seconds:
            return {}
        bytes_by_purpose = self.samples[-1].bytes_by_purpose
        return {
            cause: bytes_by_purpose[cause] / self.node_seconds for cause in sorted(bytes_by_purpose)
        }

    def rpc_rates(self) -> dict[str, tuple[float, float]]:
        """Requests, and bytes with the answers, a node and second, by RPC."""
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
    """A demand, and what the run came to."""

    requirement: Requirement
    value: float | None
    """None where nothing was there to measure, which does not count as met."""

    @property
    def is_met(self) -> bool:
        """Whether the figure lies within its bounds."""
        if self.value is None:
            return False
        low = -math.inf if self.requirement.at_least is None else self.requirement.at_least
        high = math.inf if self.requirement.at_most is None else self.requirement.at_most
        return low <= self.value <= high


def evaluate(result: RunResult) -> list[RequirementResult]:
    """What became of each of the scenario's demands."""
    return [
        RequirementResult(demand, result.metric(demand.metric, demand.start, demand.end))
        for demand in result.scenario.requirements
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """The least value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def fraction_true(flags: Iterable[bool]) -> float | None:
    """How many of all are true; None of nothing."""
    values = list(flags)
    return sum(values) / len(values) if values else None
