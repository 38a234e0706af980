"""What a secret costs: CPU of whole operations on secret and on plain values, in turns.

All nodes are in this process. Those that answer do the same work for both, except for the bytes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from kademlua import Node, Secret
from kademlua.core.ids import sha1
from kademlua.node.secret_operations import SecretNode
from tests.benchmarks.table import markdown

NODES = 4
"""The one that asks, and as many holders as a find wants."""
LIMIT_US = 60.0
"""Microseconds of CPU that an operation may take in addition."""
_VALUE = b"v" * 100
_TURN = 20


@dataclass(slots=True)
class Cost:
    """CPU of an operation in microseconds, the median of all turns, and that of the differences
    between neighbouring turns."""

    operation: str
    plain: float
    secret: float
    difference: float


def measure_secret(rounds: int, operations: int) -> list[Cost]:
    """Add and find values with a secret and without, ``operations`` of each kind per round."""
    nodes = [Node()]
    nodes[0].start()
    try:
        for _ in range(NODES - 1):
            nodes.append(Node(bootstrap=[nodes[0].contact.endpoint]))
            nodes[-1].start()
            nodes[-1].wait_joined()
        plain = nodes[-1]
        keys = [sha1(str(number)) for number in range(operations)] * rounds
        kinds = plain, plain.secret(Secret.generate())
        return [_measure("add", _add, kinds, keys), _measure("find", _find, kinds, keys)]
    finally:
        for node in nodes:
            node.close(hand_over=False)


Values = Node | SecretNode


def _add(values: Values, key: bytes) -> None:
    values.add(key, _VALUE)


def _find(values: Values, key: bytes) -> None:
    if not values.find_value(key):
        raise RuntimeError("a value was not found")


def _measure(
    name: str,
    operate: Callable[[Values, bytes], None],
    kinds: tuple[Values, Values],
    keys: Sequence[bytes],
) -> Cost:
    """Operate in small turns, so that both kinds meet the same noise."""
    pairs = []
    for number, start in enumerate(range(0, len(keys), _TURN)):
        turn = keys[start : start + _TURN]
        found = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            gc.collect()
            began = time.process_time()
            for key in turn:
                operate(kinds[which], key)
            found[which] = 1e6 * (time.process_time() - began) / len(turn)
        pairs.append(found)
    plain, secret = (median(column) for column in zip(*pairs, strict=True))
    return Cost(name, plain, secret, median(secret - plain for plain, secret in pairs))


def secret_text(costs: Sequence[Cost]) -> str:
    """A table of the operations."""
    rows = [
        [
            each.operation,
            f"{each.plain:.0f}",
            f"{each.secret:.0f}",
            f"{each.difference:+.0f}",
            f"{LIMIT_US:.0f}",
        ]
        for each in costs
    ]
    header = ["operation", "plain, µs", "secret, µs", "difference, µs", "at most, µs"]
    return "\n".join(markdown(header, rows))
