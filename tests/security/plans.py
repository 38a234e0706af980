"""Attack plans: sequences of datagrams, drawn at random and mutated.

A plan holds choices, not bytes: tokens and rpc ids are known only while it runs. ``Attacker`` makes
the datagrams.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

MAX_STEPS = 12
SOURCE_COUNT = 8
"""Endpoints from which the attacker sends."""
SENDER_COUNT = 6
"""Ids that it uses."""
KEY_COUNT = 11


class Action(StrEnum):
    """What a step does: an RPC by its name, or something else."""

    PING = "ping"
    FINDNODE = "findnode"
    FINDVALUE = "findvalue"
    STORE = "store"
    REMOVE = "remove"
    GETSOCKET = "getsocket"
    LEAVE = "leave"
    LACKS = "lacks"
    REACH = "reach"
    REACHED = "reached"
    UNKNOWN_RPC = "nothere"
    RESPONSE = "a response"
    """To a query of the node that was sent to another endpoint."""
    GARBAGE = "garbage"
    USER_FIND = "a find of the node's user"
    USER_ADD = "an add of the node's user"


class TokenChoice(StrEnum):
    """Which write token a store or remove carries."""

    NONE = "none"
    WRONG = "wrong"
    STOLEN = "stolen"
    """The last one that any of the attacker's endpoints received."""


USER_ACTIONS = (Action.USER_FIND, Action.USER_ADD)
SENT_ACTIONS = tuple(each for each in Action if each not in USER_ACTIONS)


@dataclass(frozen=True, slots=True)
class Step:
    """One datagram, and the time after it."""

    action: Action
    source: int
    sender: int
    rpc_id: int
    """Equal numbers give equal rpc ids: a retransmission, or a confusion."""
    key: int
    count: int
    """The number of values that a findvalue requests."""
    skip: int
    version: int
    is_client: bool
    size: int
    """The least size of the datagram, which is padded to it."""
    value_bytes: int
    token: TokenChoice
    has_owner: bool
    named: int
    """The first third party that the step names, and that its source names in replies from now
    on."""
    named_count: int
    near_bytes: int
    """The first bytes that their ids share with the key."""
    wait: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A sequence, and whether the node has upkeep during it: replication, refresh and probes."""

    steps: tuple[Step, ...]
    has_upkeep: bool


def _pick(*choices: Any) -> Callable[[random.Random], Any]:
    return lambda rng: rng.choice(choices)


_DRAW: dict[str, Callable[[random.Random], Any]] = {
    "action": _pick(*SENT_ACTIONS),
    "source": _pick(*range(SOURCE_COUNT)),
    "sender": _pick(*range(SENDER_COUNT)),
    "rpc_id": _pick(*range(12)),
    "key": _pick(*range(KEY_COUNT)),
    "count": _pick(0, 1, 1, 50, 4_096),
    "skip": _pick(0, 0, 0, 1, 4, -1),
    "version": _pick(0, 1, 1, 2),
    "is_client": _pick(False, False, False, True),
    "size": _pick(0, 0, 0, 70, 100, 150, 240, 304, 500, 1_200, 21_858),
    "value_bytes": _pick(0, 1, 100, 1_000, 14_000),
    "token": _pick(*TokenChoice),
    "has_owner": _pick(False, True),
    "named": _pick(*range(40)),
    "named_count": _pick(1, 1, 3, 20, 64),
    "near_bytes": _pick(0, 1, 1, 4),
    "wait": _pick(0, 0, 0, 0, 0.01, 0.2, 1.0, 2.0, 5.0, 30.0, 120.0),
}
_LINKED = ("source", "sender", "key")
"""Fields that a step often shares with the one before it."""
_BIG_KEY = 4
_TOKEN_KEYS = (6, 9, 10)
"""A key, and two that extend it."""

_PATTERNS: tuple[tuple[dict[str, Callable[[random.Random], Any]], ...], ...] = (
    (  # a token of one endpoint, id and key, used with another
        {
            "action": _pick(Action.FINDNODE, Action.FINDVALUE),
            "source": _pick(0, 2),
            "sender": _pick(0),
            "key": _pick(6),
            "version": _pick(1),
            "size": _pick(150, 304),
            "wait": _pick(0.2),
        },
        {
            "action": _pick(Action.STORE, Action.REMOVE),
            "source": _pick(1, 3),
            "sender": _pick(0),
            "key": _pick(*_TOKEN_KEYS),
            "version": _pick(1),
            "token": _pick(TokenChoice.STOLEN),
            "wait": _pick(0.2),
        },
        {
            "action": _pick(Action.FINDVALUE),
            "source": _pick(1, 3),
            "sender": _pick(0),
            "key": _pick(_BIG_KEY),
        },
    ),
    (  # a ping's rpc id, returned from another endpoint
        {"action": _pick(Action.STORE, Action.FINDVALUE), "source": _pick(0), "wait": _pick(0.2)},
        {"action": _pick(Action.RESPONSE), "source": _pick(1), "wait": _pick(0.2)},
        {"action": _pick(Action.FINDVALUE), "source": _pick(1), "key": _pick(_BIG_KEY)},
    ),
    (  # a deferred request that is sent again
        {"action": _pick(Action.FINDVALUE), "rpc_id": _pick(0), "key": _pick(_BIG_KEY)},
        {"action": _pick(Action.FINDVALUE), "rpc_id": _pick(0), "key": _pick(_BIG_KEY)},
        {"action": _pick(Action.STORE), "rpc_id": _pick(0)},
    ),
)


class PlanMaker:
    """Draws and mutates plans."""

    def __init__(self, rng: random.Random, actions: Sequence[Action]) -> None:
        self._rng = rng
        self._draw = _DRAW | {"action": _pick(*actions)}

    def next_plan(self, best: Sequence[Plan], random_share: float) -> Plan:
        """Draw a plan with this probability, else mutate one of the best."""
        if not best or self._rng.random() < random_share:
            return self.random_plan()
        return self.mutate(self._rng.choice(best), self._rng.choice(best))

    def random_plan(self) -> Plan:
        """Draw a plan; one in five follows a pattern."""
        rng = self._rng
        steps: list[Step] = []
        if rng.random() < 0.2:
            steps += [self._random_step(fixed) for fixed in rng.choice(_PATTERNS)]
        else:
            for _ in range(rng.randint(1, MAX_STEPS)):
                step = self._random_step({})
                if steps:
                    shared = [name for name in _LINKED if rng.random() < 0.5]
                    step = replace(step, **{name: getattr(steps[-1], name) for name in shared})
                steps.append(step)
        return Plan(tuple(steps), rng.random() < 0.1)

    def mutate(self, plan: Plan, other: Plan) -> Plan:
        """Change a plan in one to three places; it may get steps of another one."""
        steps = list(plan.steps)
        for _ in range(self._rng.randint(1, 3)):
            self._change(steps, other)
        has_upkeep = plan.has_upkeep ^ (self._rng.random() < 0.03)
        return Plan(tuple(steps[:MAX_STEPS]), has_upkeep)

    def _change(self, steps: list[Step], other: Plan) -> None:
        rng, at = self._rng, self._rng.randrange(len(steps))
        match rng.randrange(8):
            case 0:
                steps.insert(at, self._random_step({}))
            case 1:
                steps.insert(at, steps[at])
            case 2 if len(steps) > 1:
                del steps[at]
            case 3:
                steps.insert(at, rng.choice(other.steps))
            case 4:
                steps[at:] = other.steps[rng.randrange(len(other.steps)) :]
            case _:
                name = rng.choice(list(self._draw))
                steps[at] = replace(steps[at], **{name: self._draw[name](rng)})

    def _random_step(self, fixed: dict[str, Callable[[random.Random], Any]]) -> Step:
        return Step(**{name: draw(self._rng) for name, draw in (self._draw | fixed).items()})


def dump(plan: Plan) -> str:
    """Return a plan as JSON."""
    return json.dumps(asdict(plan))


def load(text: str) -> Plan:
    """Return the plan that ``dump`` wrote."""
    fields = json.loads(text)
    steps = [
        Step(**each | {"action": Action(each["action"]), "token": TokenChoice(each["token"])})
        for each in fields["steps"]
    ]
    return Plan(tuple(steps), fields["has_upkeep"])
