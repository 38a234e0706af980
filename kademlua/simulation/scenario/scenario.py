"""Scenarios: a simulated network, its events, its workload and its requirements.

``loader`` reads a scenario from TOML; docs/simulation.md describes the keys. Times are seconds,
shares are 0 to 1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from kademlua.core.durations import format_duration
from kademlua.core.params import Params
from kademlua.simulation.network.conditions import NetworkConditions
from kademlua.simulation.scenario.toml_table import (
    boolean,
    count,
    fraction,
    integer,
    number,
    one_of,
    seconds,
    setting,
    some_of,
)

SESSIONS = ("exponential", "weibull")
LATENCIES = ("constant", "lognormal", "coordinates")
ACTIONS = ("vanish", "partition", "heal", "pause")
USUAL_BEHAVIOURS = ("collude", "garbage", "dead", "deny", "swallow", "forge")
BEHAVIOURS = (*USUAL_BEHAVIOURS, "corrupt")
"""What hostile nodes do; ``adversaries.HostileTransport`` implements each behaviour."""
SYBIL_BEHAVIOURS = ("collude", "garbage", "dead")

STATE_METRICS = ("dead_contacts", "neighbours", "hostile_contacts", "hostile_near_key")
PLACEMENT_METRICS = ("kept", "placed", "holders", "values_a_node", "early_end", "late_end")
MACHINE_METRICS = ("packets_a_wall_second", "wall_seconds", "memory_mb")
"""Metrics of the machine: they cover the whole run and differ between runs."""
BULK_RATIOS = ("bulk_packets", "bulk_time")
SECONDS, SHARE, NUMBER = "seconds", "share", "number"
METRICS = {
    **{
        f"{kind}_p{p}": SECONDS
        for kind in ("lookup", "add", "find", "object", "change")
        for p in (50, 90, 99)
    },
    **{f"hops_p{p}": NUMBER for p in (50, 90, 99)},
    "rpcs_a_lookup": NUMBER,
    **dict.fromkeys(("recall", "finds", "crossing_finds"), SHARE),
    **dict.fromkeys(("objects", "changes", "bulk_adds"), SHARE),
    **dict.fromkeys(BULK_RATIOS, NUMBER),
    **dict.fromkeys(("finds_one_path", "finds_many_paths"), SHARE),
    "paths_latency": NUMBER,
    **dict.fromkeys(("adds", *STATE_METRICS, "kept", "placed"), SHARE),
    **dict.fromkeys(("holders", "values_a_node"), NUMBER),
    "early_end": SHARE,
    "late_end": SECONDS,
    **dict.fromkeys(("upkeep_bytes", "packets_a_wall_second"), NUMBER),
    "wall_seconds": SECONDS,
    "memory_mb": NUMBER,
}
"""The metrics that a requirement may bound, and the unit of the bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChurnSettings:
    """How long nodes stay, how they leave, and whether they return."""

    begins: float = setting(seconds, 0.0)
    """Seconds of the measured time before the first session begins."""
    sessions: str = setting(one_of, "exponential", allowed=SESSIONS)
    median: float = setting(seconds, low=1)
    """Median session time in seconds."""
    shape: float = setting(number, 1.0, low=0.1, high=10)
    """Weibull shape: below 1, most sessions are short and a few very long."""
    stays: float = setting(fraction, 0.0)
    """The share of nodes that never leave."""
    graceful: float = setting(fraction, 0.0)
    """The share of departures with a handover; the other nodes vanish."""
    returns: float = setting(fraction, 0.0)
    """The share of departures after which the node returns with the same id and address and
    an empty routing table. A new node replaces each of the others."""
    away: float = setting(seconds, 600.0)
    """Mean time until a return, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileSettings:
    """Hostile members; a scenario with any uses public addresses."""

    share: float = setting(fraction, 0.0)
    behaviours: tuple[str, ...] = setting(some_of, USUAL_BEHAVIOURS, allowed=BEHAVIOURS)
    """Each hostile node has one of these, at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SybilSettings:
    """Additional hostile nodes around one key.

    The keys of all values differ from this key only in the last 64 bits.
    """

    count: int = setting(integer, low=1, high=100_000)
    networks: int = setting(integer, 1, low=1, high=65_536)
    """The number of /24 networks that the Sybils share."""
    bits: int = setting(integer, 24, low=0, high=96)
    """Bits that their ids share with the key."""
    join: float = setting(seconds, 60.0, low=1)
    """Seconds over which the Sybils start, after ``settle``."""
    behaviours: tuple[str, ...] = setting(some_of, ("collude",), allowed=SYBIL_BEHAVIOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The latency model and NAT of the network."""

    latency: str = setting(one_of, "coordinates", allowed=LATENCIES)
    round_trip: float = setting(seconds, 0.1, high=60)
    """Median round-trip time in seconds, without jitter."""
    sigma: float = setting(number, 0.5, low=0, high=3)
    """Standard deviation of the logarithm in the log-normal model."""
    nat: float = setting(fraction, 0.0)
    """The share of nodes behind NAT."""
    nat_seconds: float = setting(seconds, 60.0, low=0.1)
    """Lifetime of a NAT mapping in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSettings:
    """The operations on the nodes, spread evenly over the measured time."""

    values: int = setting(integer, 0, low=0, high=10_000_000)
    """Values added during ``warm_up``."""
    values_a_node: float = setting(number, 0.0, low=0, high=10_000)
    """Additional values per node, added during ``warm_up``."""
    ttl: float = setting(seconds, 0.0)
    """TTL of the values in seconds; 0: ``Params.ttl``."""
    warm_up: float = setting(seconds, 60.0, low=1)
    """Seconds before measuring begins."""
    adds: int = setting(count, 0)
    finds: int = setting(count, 0)
    lookups: int = setting(count, 0)
    value_bytes: int = setting(integer, 100, low=1, high=60_000)
    records: bool = setting(boolean, default=False)
    """Whether values are signed and readers verify them. A keyed hash, whose key the hostile
    nodes do not know, stands for the signature."""
    objects: int = setting(integer, 0, low=0, high=100_000)
    """Objects stored during ``warm_up``."""
    object_bytes: int = setting(integer, 1_000_000, low=0, high=1_000_000_000)
    object_reads: int = setting(count, 0)
    """Reads of objects; one half reads the whole, the other a random range."""
    watches: int = setting(integer, 0, low=0, high=100_000)
    """Keys that are watched from ``warm_up`` on."""
    changes: int = setting(count, 0)
    """Values added under these keys, which take turns."""
    bulk_keys: int = setting(integer, 0, low=0, high=1_000_000)
    """Keys that one node adds many at a time; another adds a tenth as many one by one."""
    paths: int = setting(integer, 1, low=1, high=16)
    """Disjoint paths of every other find."""

    @property
    def has_values(self) -> bool:
        """Whether the workload adds values."""
        return bool(self.values or self.values_a_node or self.adds)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioEvent:
    """An event during the measured time."""

    at: float
    """Seconds after measuring began."""
    action: str
    """One of ``ACTIONS``."""
    share: float = 0.0
    """The share of live nodes that vanish, pause, or form the first side."""
    duration: float = 0.0
    """The length of a pause in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A metric and its bounds, over a part of the measured time."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    start: float = 0.0
    end: float

    @property
    def text(self) -> str:
        """The requirement as text, for reports."""
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
    """A complete scenario.

    Measuring begins after ``join``, ``settle``, the start of Sybils and the workload's
    ``warm_up``. The times of events and requirements count from then, and churn starts then.
    """

    name: str
    title: str
    description: str
    duration: float
    nodes: int
    join: float
    """Seconds over which the nodes start, one after the other."""
    settle: float
    """Seconds without operations after ``join``."""
    bootstraps: int = 3
    """Bootstrap nodes of a new node."""
    churn: ChurnSettings | None = None
    hostile: HostileSettings = field(default_factory=HostileSettings)
    sybils: SybilSettings | None = None
    network: NetworkSettings = field(default_factory=NetworkSettings)
    conditions: NetworkConditions = field(default_factory=NetworkConditions)
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
        """Whether nodes have public addresses."""
        return self.has_adversaries or self.network.nat > 0

    @property
    def has_values(self) -> bool:
        """Whether the workload adds values."""
        return self.workload.has_values

    @property
    def measure_start(self) -> float:
        """The virtual time at which measuring begins."""
        sybils = self.sybils.join if self.sybils else 0.0
        return self.join + self.settle + sybils + self.workload.warm_up

    @property
    def measure_end(self) -> float:
        """The virtual time at which measuring ends."""
        return self.measure_start + self.duration

    def scaled(self, nodes: int | None = None, duration: float | None = None) -> Scenario:
        """Return a copy with another number of nodes or another measured time.

        The number of operations is proportional to the time. Events and requirements after
        its end are dropped.
        """
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
                object_reads=round(work.object_reads * ratio),
                changes=round(work.changes * ratio),
            ),
            events=tuple(event for event in scenario.events if event.at < duration),
            requirements=tuple(
                dataclasses.replace(each, end=min(each.end, duration))
                for each in scenario.requirements
                if each.start < duration
            ),
        )
