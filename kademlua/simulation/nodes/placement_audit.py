"""Holdings: which of the workload's values are held, by whom, and until when."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.nodes.population import Population

_LOOKED_AT = 100
"""Values whose true holders are looked for each time."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the workload."""

    key: bytes
    value: bytes
    side: int | None
    """The side on which it was added, during a partition."""
    born: float
    """When it was about to be added."""
    ttl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What became of the values that should live at one moment."""

    kept: float = 1.0
    """The share of them that at least one living node holds."""
    holders: float = 0.0
    """Living nodes that hold one, on average."""
    placed: float = 1.0
    """The share of the true closest nodes that hold what they should."""
    values_a_node: float = 0.0
    """What a living node holds, on average."""
    early_end: float = 0.0
    """By what part of its time to live the last copy of a value ends too early, at most."""
    late_end: float = 0.0
    """By how many seconds a copy ends too late, at most; 0 where none does."""


def look(population: Population, values: Iterable[Value], chance: Random) -> Held:
    """See what the living hold now."""
    now = virtual_now()
    ends: dict[bytes, list[float]] = {}
    count = 0
    for member in population.living:
        assert member.node is not None
        store = member.node.datastore
        count += len(store)
        keys = store.keys()
        for key in keys:
            ends.setdefault(key, []).extend(entry.expires for _, entry in store.entries(key))
    late = max(
        (end - each.born - each.ttl for each in values for end in ends.get(each.key, ())),
        default=0.0,
    )
    due = [each for each in values if now < each.born + 0.99 * each.ttl]
    held = [[end for end in ends.get(each.key, ()) if end > now] for each in due]
    early = max(
        (
            (each.born + each.ttl - max(copies)) / each.ttl
            for each, copies in zip(due, held, strict=True)
            if copies
        ),
        default=0.0,
    )
    return Held(
        kept=sum(map(bool, held)) / len(due) if due else 1.0,
        holders=sum(map(len, held)) / len(due) if due else 0.0,
        placed=_placed(population, chance.sample(due, min(_LOOKED_AT, len(due)))),
        values_a_node=count / max(len(population.living), 1),
        early_end=max(early, 0.0),
        late_end=max(late, 0.0),
    )


def _placed(population: Population, values: list[Value]) -> float:
    wanted = found = 0
    for each in values:
        members = population.holders(each.key)
        wanted += len(members)
        found += sum(
            bool(member.node is not None and member.node.datastore.entries(each.key))
            for member in members
        )
    return found / wanted if wanted else math.nan
