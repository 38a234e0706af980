"""What a find costs by the hosts of a node: ``Node``, ``ThreadedNode`` and ``AsyncNode``, one
after the other at the same network of another process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import gevent

from kademlua import AsyncNode, Node, ThreadedNode, sha1
from kademlua.core.contact import Endpoint
from tests.benchmarks.table import markdown

_NODES = 20
_KEYS = [sha1(f"key {number}") for number in range(100)]
_NETWORK = f"""
import gevent.os
from kademlua import Node
from tests.benchmarks.hosts import _KEYS
first = Node()
first.start()
nodes = [first, *(Node(bootstrap=[first.contact.endpoint]) for _ in range({_NODES - 1}))]
for node in nodes:
    node.start()
for node in nodes:
    node.wait_joined()
for number, key in enumerate(_KEYS):
    nodes[number % {_NODES}].add(key, b"v" * 100)
print(first.contact.port, flush=True)
gevent.os.tp_read(0, 1)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Median microseconds of one call by one host."""

    host: str
    find: float
    """``find_value`` of one answer."""
    hand_over: float
    """``network_size``, which asks nobody: the way to the node and back."""


def measure_hosts(rounds: int, finds: int) -> list[Cost]:
    """The medians of all rounds, in each of which each host has its turn."""
    seen: dict[str, list[Cost]] = {}
    with _network() as bootstrap:
        for _ in range(rounds):
            for measure in (_on_gevent, _on_a_thread, _on_asyncio):
                cost = _apart(partial(measure, bootstrap, finds))
                seen.setdefault(cost.host, []).append(cost)
    return [
        Cost(host, median(each.find for each in costs), median(each.hand_over for each in costs))
        for host, costs in seen.items()
    ]


def hosts_text(costs: list[Cost]) -> str:
    """A table, in Markdown."""
    base = costs[0].find
    rows = [
        [each.host, f"{each.find:.0f}", f"{each.find - base:+.0f}", f"{each.hand_over:.0f}"]
        for each in costs
    ]
    return "\n".join(markdown(["host", "find, µs", "more, µs", "there and back, µs"], rows))


def _on_gevent(bootstrap: Endpoint, finds: int) -> Cost:
    with Node(bootstrap=[bootstrap], read_only=True) as node:
        cost = Cost("Node", *_timed(node, finds))
    gevent.get_hub().destroy()
    return cost


def _on_a_thread(bootstrap: Endpoint, finds: int) -> Cost:
    with ThreadedNode(bootstrap=[bootstrap], read_only=True) as node:
        return Cost("ThreadedNode", *_timed(node, finds))


def _timed(node: Node | ThreadedNode, finds: int) -> tuple[float, float]:
    found, handed = [], []
    for number in range(finds):
        began = time.perf_counter()
        answers = node.find_value(_KEYS[number % len(_KEYS)], 1)
        found.append(time.perf_counter() - began)
        if not answers:
            raise RuntimeError("a value that was stored is not found")
    for _ in range(finds):
        began = time.perf_counter()
        node.network_size()
        handed.append(time.perf_counter() - began)
    return median(found) * 1e6, median(handed) * 1e6


def _on_asyncio(bootstrap: Endpoint, finds: int) -> Cost:
    return asyncio.run(_awaited(bootstrap, finds))


async def _awaited(bootstrap: Endpoint, finds: int) -> Cost:
    found, handed = [], []
    async with AsyncNode(bootstrap=[bootstrap], read_only=True) as node:
        for number in range(finds):
            began = time.perf_counter()
            answers = await node.find_value(_KEYS[number % len(_KEYS)], 1)
            found.append(time.perf_counter() - began)
            if not answers:
                raise RuntimeError("a value that was stored is not found")
        for _ in range(finds):
            began = time.perf_counter()
            await node.network_size()
            handed.append(time.perf_counter() - began)
    return Cost("AsyncNode", median(found) * 1e6, median(handed) * 1e6)


def _apart(measure: Callable[[], Cost]) -> Cost:
    """Measure in a thread of its own, in which nothing of gevent is at work yet."""
    costs: list[Cost] = []
    thread = threading.Thread(target=lambda: costs.append(measure()))
    thread.start()
    thread.join()
    if not costs:
        raise RuntimeError("a host could not be measured")
    return costs[0]


@contextmanager
def _network() -> Iterator[Endpoint]:
    """Nodes of another process, which hold the keys' values."""
    command: list[Any] = [sys.executable, "-c", _NETWORK]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdin is not None
        yield "127.0.0.1", int(run.stdout.readline())
        run.stdin.close()
