"""Scenario: what a simulated network is, what happens to it, and what it must reach.

``loading`` reads one from TOML. docs/simulation.md says how to write one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from kademlua.core.durations import format_duration
from kademlua.core.params import Params

LATENCIES = ("constant", "lognormal", "coordinates")
ACTIONS = ("vanish", "partition", "heal", "pause")
BEHAVIOURS = ("collude", "garbage", "dead", "deny", "swallow", "forge")
"""What hostile nodes do; ``hostile.HostileTransport`` says what each is."""
SYBIL_BEHAVIOURS = ("collude", "garbage", "dead")

SECONDS, SHARE, NUMBER = "seconds", "share", "number"
METRICS = {
    "lookup_p50": SECONDS,
    "lookup_p90": SECONDS,
    "lookup_p99": SECONDS,
    "find_p50": SECONDS,
    "find_p90": SECONDS,
    "find_p99": SECONDS,
    "hops_p50": NUMBER,
    "hops_p90": NUMBER,
    "hops_p99": NUMBER,
    "rpcs_a_lookup": NUMBER,
    "recall": SHARE,
    "finds": SHARE,
    "crossing_finds": SHARE,
    "finds_one_path": SHARE,
    "finds_many_paths": SHARE,
    "paths_latency": NUMBER,
    "adds": SHARE,
    "dead_contacts": SHARE,
    "neighbours": SHARE,
    "hostile_contacts": SHARE,
    "hostile_near_key": SHARE,
    "kept": SHARE,
    "placed": SHARE,
    "holders": NUMBER,
    "values_a_node": NUMBER,
    "early_end": SHARE,
    "late_end": SECONDS,
    "upkeep_bytes": NUMBER,
    "packets_a_wall_second": NUMBER,
    "wall_seconds": SECONDS,
    "memory_mb": NUMBER,
}
"""What a demand may be about, and how its bound is written."""
STATE_METRICS = ("dead_contacts", "neighbours", "hostile_contacts", "hostile_near_key")
PLACEMENT_METRICS = ("kept", "placed", "holders", "values_a_node", "early_end", "late_end")
MACHINE_METRICS = ("packets_a_wall_second", "wall_seconds", "memory_mb")
"""Figures of the machine: they are of the whole run, and differ from run to run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnSettings:
    """How long nodes stay, how they go, and whether they come back."""

    sessions: str = "exponential"
    median: float = 3600.0
    """Seconds that half of the sessions outlast."""
    shape: float = 1.0
    """Of a Weibull distribution: below 1, most sessions are short and a few very long."""
    stays: float = 0.0
    """The share of nodes that never leave."""
    graceful: float = 0.0
    """The share of departures in which a node closes in order; others vanish."""
    returns: float = 0.0
    """The share of departures after which the same node comes back, with its id, its
    address and an empty table. In place of the others comes a new one."""
    away: float = 600.0
    """Seconds until then, on average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileSettings:
    """Nodes among the others that lie; in a scenario with any, addresses are public ones."""

    share: float = 0.0
    behaviours: tuple[str, ...] = BEHAVIOURS
    """Each of them has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SybilSettings:
    """Hostile nodes beside the others, with ids next to one key: that of all values and finds,
    but for its last 64 bits."""

    count: int
    networks: int = 1
    """The /24 networks in which they are."""
    bits: int = 24
    """That their ids share with the key."""
    join: float = 60.0
    """Seconds over which they come, when the others have settled."""
    behaviours: tuple[str, ...] = ("collude",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """What the network does to packets."""

    latency: str = "coordinates"
    round_trip: float = 0.1
    """Median of the round trips, in seconds, without jitter."""
    sigma: float = 0.5
    """Of the log-normal model: how unlike the pairs are."""
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    bandwidth: float = 0.0
    """Bytes a second of each node's line, in each direction; 0: no limit."""
    queue: int = 65_536
    """Bytes that wait at most for each direction of a node's line; 0: no limit."""
    max_packet: int = 65_507
    """The largest datagram that gets through."""
    nat: float = 0.0
    """The share of nodes behind NAT: reached only by whom they sent to lately."""
    nat_seconds: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioEvent:
    """What befalls the network, so many seconds after measuring has begun."""

    at: float
    action: str
    share: float = 0.0
    """Of the living nodes: who vanish, are paused, or are on the first side."""
    duration: float = 0.0
    """How long those paused are paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSettings:
    """What the nodes are asked to do, spread evenly over the time."""

    values: int = 0
    """Added before measuring begins, during ``warm_up``."""
    values_a_node: float = 0.0
    """The same, beside them, by the number of nodes."""
    ttl: float = 0.0
    """Seconds that values live; 0: as ``Params`` says."""
    warm_up: float = 60.0
    adds: int = 0
    finds: int = 0
    lookups: int = 0
    value_bytes: int = 100
    records: bool = False
    """Whether values prove themselves, so that readers don't believe in others. A keyed hash
    stands for the signature: none of the hostile nodes knows its key."""
    paths: int = 1
    """Every other find goes on so many disjoint paths, where it is not 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A figure and its bound, in a part of the measured time."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    start: float = 0.0
    end: float

    @property
    def text(self) -> str:
        """The demand in words, for reports."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        bounds_text = " and ".join(
            f"{sign} {bound:g}" for sign, bound in bounds if bound is not None
        )
        if self.metric in MACHINE_METRICS:
            return f"{self.metric} {bounds_text}"
        start, end = format_duration(self.start), format_duration(self.end)
        return f"{self.metric} {bounds_text} from {start} to {end}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it. Times are seconds; events, demands and churn count from the moment at which
    measuring begins: after ``join``, ``settle``, the coming of sybils, and the workload's
    ``warm_up``."""

    name: str
    title: str
    description: str
    duration: float
    nodes: int
    join: float
    """Seconds over which the nodes come, one after the other."""
    settle: float
    """Seconds of quiet after that."""
    bootstraps: int = 3
    """Living nodes that a newcomer is told of."""
    churn: ChurnSettings | None = None
    hostile: HostileSettings = field(default_factory=HostileSettings)
    sybils: SybilSettings | None = None
    network: NetworkSettings = field(default_factory=NetworkSettings)
    workload: WorkloadSettings = field(default_factory=WorkloadSettings)
    events: tuple[ScenarioEvent, ...] = ()
    params: Params = field(default_factory=Params)
    requirements: tuple[Requirement, ...] = ()

    @property
    def has_adversaries(self) -> bool:
        """Whether there are hostile nodes."""
        return self.hostile.share > 0 or self.sybils is not None

    @property
    def uses_public_addresses(self) -> bool:
        """Whether its addresses are public ones."""
        return self.has_adversaries or self.network.nat > 0

    @property
    def has_values(self) -> bool:
        """Whether anything is ever added."""
        work = self.workload
        return bool(work.values or work.values_a_node or work.adds)

    @property
    def measure_start(self) -> float:
        """The virtual time at which measuring begins."""
        sybils = self.sybils.join if self.sybils else 0.0
        return self.join + self.settle + sybils + self.workload.warm_up

    @property
    def measure_end(self) -> float:
        """The virtual time at which it ends."""
        return self.measure_start + self.duration

    def scaled(self, nodes: int | None = None, duration: float | None = None) -> Scenario:
        """The same with another number of nodes, or measured for another time: amounts of
        work change with the time, what lies beyond it falls away."""
        scenario = self if nodes is None else dataclasses.replace(self, nodes=nodes)
        if duration is None:
            return scenario
        ratio = duration / scenario.duration
        work = scenario.workload
        return dataclasses.replace(
            scenario,
            duration=duration,
            workload=dataclasses.replace(
                work,
                adds=round(work.adds * ratio),
                finds=round(work.finds * ratio),
                lookups=round(work.lookups * ratio),
            ),
            events=tuple(event for event in scenario.events if event.at < duration),
            requirements=tuple(
                dataclasses.replace(each, end=min(each.end, duration))
                for each in scenario.requirements
                if each.start < duration
            ),
        )
