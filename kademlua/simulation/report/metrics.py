"""Figures: what a run came to, in numbers, and what its scenario demanded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from kademlua.simulation.nodes.placement_audit import Held
from kademlua.simulation.nodes.workload import Operation
from kademlua.simulation.scenario.scenario import (
    FIGURES,
    OF_STATE,
    OF_THE_RUN,
    OF_VALUES,
    Demand,
    Scenario,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The state of the network at one moment."""

    at: float
    """Seconds since measuring began."""
    nodes: int
    """Who had joined and lived."""
    came: int
    left: int
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
    requests: dict[str, int]
    """Sent by all nodes since measuring began, by RPC."""
    bytes: dict[str, int]
    """The same of bytes, answers included."""
    causes: dict[str, int] = field(default_factory=dict)
    """The same of bytes, by what they were sent for."""
    held: Held = field(default_factory=Held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the run took of this machine: differs from run to run."""

    wall_seconds: float
    cpu_seconds: float
    joining_wall_seconds: float
    packets_a_wall_second: float
    """Delivered ones."""
    memory_mb: float
    """The process's peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that is known of one run."""

    scenario: Scenario
    seed: int
    fingerprint: str
    operations: list[Operation]
    abandoned: int
    unfinished: int
    samples: list[Sample]
    node_seconds: float
    """Living nodes times seconds, while measuring."""
    packets: dict[str, int]
    """Sent, delivered and lost in the whole run."""
    machine: Machine
    figures: dict[str, float | None] = field(init=False)
    """By name, over the whole measured time; None where there is nothing to tell."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "figures", self._all_figures())

    def figure(self, name: str, begin: float = 0.0, end: float = math.inf) -> float | None:
        """One figure over a part of the measured time."""
        if name in OF_THE_RUN:
            return float(getattr(self.machine, name))
        if name in OF_STATE or name in OF_VALUES:
            return self._state(name, begin, end)
        if name == "upkeep_bytes":
            causes = self.causes()
            return sum(causes.values()) - causes.get("users", 0.0) if causes else None
        kinds = {"adds": "add", "finds": "find", "crossing_finds": "find", "find": "find"}
        kinds |= dict.fromkeys(("finds_one_path", "finds_many_paths", "paths_latency"), "find")
        kind = kinds.get(name) or kinds.get(name.split("_p")[0], "lookup")
        done = [each for each in self.operations if each.kind == kind and begin <= each.begun < end]
        if name in ("adds", "finds"):
            return share(each.ok for each in done)
        if name in ("finds_one_path", "finds_many_paths"):
            return share(each.ok for each in done if (each.paths > 1) == (name[6] == "m"))
        if name == "paths_latency":
            one, many = ([e.seconds for e in done if e.ok and (e.paths > 1) == m] for m in (0, 1))
            return fmean(many) / fmean(one) if many and any(one) else None
        if name == "crossing_finds":
            return share(each.ok for each in done if each.crosses)
        done = [each for each in done if each.ok]
        if not done:
            return None
        if name == "recall":
            return fmean(each.recall for each in done)
        if name == "rpcs_a_lookup":
            return fmean(each.rpcs for each in done)
        what, _, percent = name.rpartition("_p")
        values = [each.hops if what == "hops" else each.seconds for each in done]
        return percentile(values, int(percent))

    def _state(self, name: str, begin: float, end: float) -> float | None:
        """The last look in that time; of ends that are wrong, the worst."""
        samples = [each for each in self.samples if begin <= each.at <= end]
        if not samples:
            return None
        if name in OF_STATE:
            return float(getattr(samples[-1], name))
        if not self.scenario.has_values:
            return None
        if name in ("early_end", "late_end"):
            return max(float(getattr(each.held, name)) for each in samples)
        return float(getattr(samples[-1].held, name))

    def _all_figures(self) -> dict[str, float | None]:
        figures = {name: self.figure(name) for name in FIGURES if name not in OF_THE_RUN}
        last = self.samples[-1] if self.samples else None
        if last is not None and self.node_seconds:
            figures["rpcs_a_node_second"] = sum(last.requests.values()) / self.node_seconds
            figures["bytes_a_node_second"] = sum(last.bytes.values()) / self.node_seconds
        return figures

    def causes(self) -> dict[str, float]:
        """Bytes a node and second, by what they were sent for."""
        if not self.samples or not self.node_seconds:
            return {}
        causes = self.samples[-1].causes
        return {cause: causes[cause] / self.node_seconds for cause in sorted(causes)}

    def traffic(self) -> dict[str, tuple[float, float]]:
        """Requests, and bytes with the answers, a node and second, by RPC."""
        if not self.samples or not self.node_seconds:
            return {}
        last = self.samples[-1]
        return {
            kind: (
                last.requests.get(kind, 0) / self.node_seconds,
                last.bytes.get(kind, 0) / self.node_seconds,
            )
            for kind in sorted(last.bytes)
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """A demand, and what the run came to."""

    demand: Demand
    value: float | None
    """None where nothing was there to measure, which does not count as met."""

    @property
    def is_met(self) -> bool:
        """Whether the figure lies within its bounds."""
        if self.value is None:
            return False
        low = -math.inf if self.demand.at_least is None else self.demand.at_least
        high = math.inf if self.demand.at_most is None else self.demand.at_most
        return low <= self.value <= high


def judge(result: Result) -> list[Verdict]:
    """What became of each of the scenario's demands."""
    return [
        Verdict(demand, result.figure(demand.figure, demand.begin, demand.end))
        for demand in result.scenario.demands
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """The least value that so many percent do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def share(hits: Iterable[bool]) -> float | None:
    """How many of all are true; None of nothing."""
    all_of_them = list(hits)
    return sum(all_of_them) / len(all_of_them) if all_of_them else None
