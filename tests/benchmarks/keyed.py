"""What a network key costs: CPU of whole RPCs between two nodes, with a key and without, in
turns. Both nodes are in this process, so both ends of an RPC are counted."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import gevent

from kademlua import Contact, Node, NodeOptions
from kademlua.core.ids import random_id
from tests.benchmarks.packets import RPCS, neighbour_ids
from tests.benchmarks.serving import PARAMS
from tests.benchmarks.table import markdown

AT_ONCE = 16
LIMIT = 1.25
"""How many times as much CPU an RPC may take with a key."""
_VALUE = b"v" * 100
_TURN = 500

Pair = tuple[Node, Node]
"""Who asks, and who is asked."""


@dataclass(slots=True)
class Cost:
    """CPU in microseconds of an RPC, one of each round."""

    rpc: str
    plain: list[float]
    keyed: list[float]

    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(keyed / plain for plain, keyed in zip(self.plain, self.keyed, strict=True))


def measure_keyed(rounds: int, requests: int, seed: int, say: Callable[[str], None]) -> list[Cost]:
    """Each RPC from one node to another, with a network key and without."""
    rng = random.Random(seed)
    keys = [random_id(rng) for _ in range(requests)]
    plain, keyed = _pair(rng, ()), _pair(rng, (rng.randbytes(32),))
    costs = [Cost(rpc, [], []) for rpc in RPCS]
    try:
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: CPU per RPC, with a network key and without")
            for cost in costs:
                _one_round(cost, plain, keyed, keys)
    finally:
        for node in (*plain, *keyed):
            node.close()
    return costs


def _one_round(cost: Cost, plain: Pair, keyed: Pair, keys: Sequence[bytes]) -> None:
    """In small turns, so that both meet the same noise."""
    sums = [0.0, 0.0]
    for turn, start in enumerate(range(0, len(keys), _TURN)):
        for which in (0, 1) if turn % 2 else (1, 0):
            pair = keyed if which else plain
            sums[which] += _cpu_us(pair, cost.rpc, keys[start : start + _TURN])
    cost.plain.append(sums[0] / len(keys))
    cost.keyed.append(sums[1] / len(keys))


def _pair(rng: random.Random, network_keys: Sequence[bytes]) -> Pair:
    """Two nodes on loopback, of which the second has a full table."""
    asker = Node(params=PARAMS, options=NodeOptions(id=random_id(rng), network_keys=network_keys))
    asked = Node(params=PARAMS, options=NodeOptions(id=random_id(rng), network_keys=network_keys))
    for node in (asker, asked):
        node.start()
    for number, node_id in enumerate(neighbour_ids(asked.id, rng)):
        asked.table.on_reply(Contact("127.0.0.1", 10_000 + number, node_id), asked.now)
    asker.ping(asked.contact)
    return asker, asked


def _cpu_us(pair: Pair, rpc: str, keys: Sequence[bytes]) -> float:
    """The process's CPU for an RPC with each of these keys, a few of them at a time."""
    asker, asked = pair
    to = asked.contact
    waiting = iter(keys)

    def ask() -> None:
        for key in waiting:
            asker.call(to, rpc, *_arguments(rpc, key))

    gc.collect()
    began = time.process_time()
    gevent.joinall([gevent.spawn(ask) for _ in range(AT_ONCE)], raise_error=True)
    return 1e6 * (time.process_time() - began)


def _arguments(rpc: str, key: bytes) -> list[Any]:
    arguments: dict[str, list[Any]] = {
        "findnode": [key],
        "findvalue": [key, 4096],
        "store": [key, _VALUE],
    }
    return arguments.get(rpc, [])


def keyed_text(costs: Sequence[Cost]) -> str:
    """A table of the RPCs."""
    rows = [
        [
            cost.rpc,
            f"{median(cost.plain):.1f}",
            f"{median(cost.keyed):.1f}",
            f"{cost.ratio():.2f}",
            f"{LIMIT}",
        ]
        for cost in costs
    ]
    return "\n".join(markdown(["RPC", "µs", "with a key, µs", "times", "at most"], rows))
