"""An audit of the stored values: which nodes hold them, and until when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.nodes.population import Population

_SAMPLED_VALUES = 100
"""Values whose placement each audit checks."""


@dataclass(frozen=True, slots=True)
class WorkloadValue:
    """A value that the workload added."""

    key: bytes
    value: bytes
    partition_side: int | None
    """The writer's side if the value was added during a partition, else None."""
    added_at: float
    """Virtual time just before the add."""
    ttl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementStats:
    """How the unexpired values are stored at one moment."""

    kept: float = 1.0
    """The share of values that at least one live node holds."""
    holders: float = 0.0
    """Mean number of live nodes that hold a value."""
    placed: float = 1.0
    """The share of the true closest nodes that hold the values they should hold."""
    values_a_node: float = 0.0
    """Mean number of values per live node."""
    early_end: float = 0.0
    """The largest share of its TTL by which the last copy of a value expires too early."""
    late_end: float = 0.0
    """The largest number of seconds by which a copy expires too late."""


def audit(population: Population, values: Iterable[WorkloadValue], rng: Random) -> PlacementStats:
    """Compare what the live nodes hold now with what they should hold."""
    now = virtual_now()
    expiries: dict[bytes, list[float]] = {}
    value_count = 0
    for member in population.live_members:
        store = member.live_node.datastore
        value_count += len(store)
        keys = store.keys()
        for key in keys:
            expiries.setdefault(key, []).extend(entry.expires_at for _, entry in store.entries(key))
    max_late = max(
        (end - each.added_at - each.ttl for each in values for end in expiries.get(each.key, ())),
        default=0.0,
    )
    expected = [each for each in values if now < each.added_at + 0.99 * each.ttl]
    live_expiries = [[end for end in expiries.get(each.key, ()) if end > now] for each in expected]
    max_early = max(
        (
            (each.added_at + each.ttl - max(copies)) / each.ttl
            for each, copies in zip(expected, live_expiries, strict=True)
            if copies
        ),
        default=0.0,
    )
    return PlacementStats(
        kept=sum(map(bool, live_expiries)) / len(expected) if expected else 1.0,
        holders=sum(map(len, live_expiries)) / len(expected) if expected else 0.0,
        placed=_correctly_placed_share(
            population, rng.sample(expected, min(_SAMPLED_VALUES, len(expected)))
        ),
        values_a_node=value_count / max(len(population.live_members), 1),
        early_end=max(max_early, 0.0),
        late_end=max(max_late, 0.0),
    )


def _correctly_placed_share(population: Population, values: list[WorkloadValue]) -> float:
    expected = found = 0
    for each in values:
        members = population.expected_replicas(each.key)
        expected += len(members)
        found += sum(bool(member.live_node.datastore.entries(each.key)) for member in members)
    return found / expected if expected else math.nan
