"""The faults of a run: a schedule that depends on a seed only.

Storms, in which faults follow each other quickly, alternate with calms in which at most a node ends
or starts. Promises such as the grace period can be checked only after some calm.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class FaultKind(Enum):
    """What happens."""

    KILL = "kill -9 of"
    CLOSE = "orderly close of"
    PAUSE = "pause of"
    UNPLUG = "link down at"
    ONE_WAY = "one-way loss from"
    PARTITION = "partition:"
    LOSS = "loss at all nodes"
    CLOCK = "wall clock step at"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Slots are places of nodes: a node that starts again takes the same slot."""

    at: float
    """Seconds since the run began."""
    kind: FaultKind
    slots: tuple[int, ...]
    """The affected nodes; of ONE_WAY, the first one's packets to the others are lost."""
    lasts: float
    """Seconds until it ends, or until the node starts again."""
    amount: float = 0.0
    """The probability of LOSS, the seconds of CLOCK."""

    def __str__(self) -> str:
        slots = ", ".join(map(str, self.slots))
        amount = f" by {self.amount:g}" if self.amount else ""
        return f"{self.kind.value} {slots}{amount} for {self.lasts:.0f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Climate:
    """How many faults there are."""

    slots: int
    duration: float
    storm: float
    """Seconds of a storm."""
    calm: float
    """Seconds of a calm."""
    between: float
    """Mean seconds between two faults of a storm."""
    lasts: float
    """Mean seconds that a fault lasts."""
    kinds: Sequence[FaultKind] = tuple(FaultKind)


VIRTUAL_KINDS = tuple(FaultKind)
PROCESS_KINDS = (FaultKind.KILL, FaultKind.CLOSE, FaultKind.PAUSE, FaultKind.CLOCK)
"""What can be done to processes without a network of their own."""

_WEIGHTS = {FaultKind.KILL: 5, FaultKind.CLOSE: 3, FaultKind.PAUSE: 3, FaultKind.UNPLUG: 3}
_HOUR, _DAY, _YEAR = 3_600.0, 86_400.0, 365 * 86_400.0
_CLOCK_STEPS = (_HOUR, _DAY, 30 * _DAY, _YEAR)
_MAX_ENDED = 4
"""Faults of a calm."""


def schedule(rng: random.Random, climate: Climate) -> list[Fault]:
    """Return the faults of a run in the order of their times; it ends with a calm."""
    faults = []
    begins = climate.calm / 4
    while begins + climate.storm + climate.calm <= climate.duration:
        at = begins
        while (at := at + rng.expovariate(1 / climate.between)) < begins + climate.storm:
            faults.append(_fault(rng, at, climate, climate.kinds))
        begins += climate.storm
        for _ in range(rng.randrange(_MAX_ENDED)):
            at = begins + rng.uniform(0, climate.calm)
            kinds = [FaultKind.KILL, FaultKind.CLOSE, FaultKind.CLOCK]
            faults.append(_fault(rng, at, climate, kinds))
        begins += climate.calm
    return sorted(faults, key=lambda each: each.at)


def _fault(rng: random.Random, at: float, climate: Climate, kinds: Sequence[FaultKind]) -> Fault:
    allowed = [each for each in kinds if each in climate.kinds]
    kind = rng.choices(allowed, [_WEIGHTS.get(each, 1) for each in allowed])[0]
    lasts = max(1.0, rng.expovariate(1 / climate.lasts))
    slots = rng.sample(range(climate.slots), climate.slots)
    if kind is FaultKind.PARTITION:
        return Fault(at, kind, tuple(slots[: rng.randint(1, climate.slots // 2)]), 2 * lasts)
    if kind is FaultKind.ONE_WAY:
        return Fault(at, kind, tuple(slots[: rng.randint(2, climate.slots // 2)]), lasts)
    if kind is FaultKind.LOSS:
        return Fault(at, kind, (), lasts, rng.choice([0.05, 0.2, 0.4]))
    if kind is FaultKind.CLOCK:
        return Fault(at, kind, (slots[0],), 0, rng.choice((-1, 1)) * rng.choice(_CLOCK_STEPS))
    if kind is FaultKind.UNPLUG and rng.random() < 0.3:  # a flap
        return Fault(at, kind, (slots[0],), rng.uniform(0.5, 3))
    return Fault(at, kind, (slots[0],), lasts)
