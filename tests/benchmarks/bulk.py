"""Many keys: packets and time of add_many and find_many beside single operations, in a virtual
network.

python -m tests.benchmarks.bulk --nodes 1000 --keys 10000
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from typing import NamedTuple

import gevent
from gevent.pool import Pool

from kademlua import Node, Params
from kademlua.simulation.clock.loop import virtual_now
from tests.support.world import World

_SINGLE_CONCURRENCY = 32
_SETTLE_SECONDS = 300
"""Virtual seconds until the maintenance after the join has ended."""
_IDLE_SECONDS = 60


class Cost(NamedTuple):
    """What an operation took."""

    packets: float
    seconds: float
    """Virtual seconds, with 100 ms for a round trip."""
    cpu: float


def _packets(nodes: list[Node]) -> int:
    return sum(node.stats()["packets_out"] for node in nodes)


def _idle_rate(nodes: list[Node]) -> float:
    """Return the packets per second of a network in which nothing is stored."""
    before = _packets(nodes)
    gevent.sleep(_IDLE_SECONDS)
    return (_packets(nodes) - before) / _IDLE_SECONDS


def _cost(nodes: list[Node], idle_rate: float, run: Callable[[], None]) -> Cost:
    """Return what an operation takes, without the packets of maintenance."""
    before, began_at, cpu = _packets(nodes), virtual_now(), time.process_time()
    run()
    seconds = virtual_now() - began_at
    packets = _packets(nodes) - before - idle_rate * seconds
    return Cost(packets, seconds, time.process_time() - cpu)


def _show(name: str, cost: Cost, per: Cost | None = None) -> None:
    ratio = ""
    if per is not None:
        ratio = (
            f"  {cost.packets / per.packets:.3f} × packets, {cost.seconds / per.seconds:.3f} × time"
        )
    print(
        f"{name:12} {cost.packets:>10,.0f} packets {cost.seconds:>9.1f} s {cost.cpu:>7.1f} s CPU"
        + ratio
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--singles", type=int, default=1_000, help="single adds, scaled to --keys")
    parser.add_argument("--replicas", type=int, default=20)
    options = parser.parse_args(arguments)
    world = World()

    def measure() -> None:
        nodes = world.network(options.nodes, params=Params(replicas=options.replicas))
        gevent.sleep(_SETTLE_SECONDS)
        idle_rate = _idle_rate(nodes)
        print(f"{idle_rate:,.0f} packets a second of maintenance")
        rng = random.Random(1)
        rows = [(rng.randbytes(20), rng.randbytes(100)) for _ in range(options.keys)]
        few = [(rng.randbytes(20), rng.randbytes(100)) for _ in range(options.singles)]

        def add_singly() -> None:
            pool = Pool(_SINGLE_CONCURRENCY)
            for key, value in few:
                pool.spawn(nodes[1].add, key, value)
            pool.join()

        def add_many() -> None:
            run = nodes[2].add_many(rows)
            counts = [len(result.report.acknowledged) for result in run if result.report]
            print(run.report, "replicas of a key:", sum(counts) / len(counts))

        def find_singly() -> None:
            pool = Pool(_SINGLE_CONCURRENCY)
            for key, _ in few:
                pool.spawn(nodes[3].find_value, key)
            pool.join()

        def find_many() -> None:
            run = nodes[4].find_many(key for key, _ in rows)
            found = sum(bool(result.answers) for result in run)
            print(run.report, "found:", found)

        factor = options.keys / options.singles
        for single, bulk in ((add_singly, add_many), (find_singly, find_many)):
            single_cost = Cost(*(each * factor for each in _cost(nodes, idle_rate, single)))
            bulk_cost = _cost(nodes, idle_rate, bulk)
            _show(single.__name__, single_cost)
            _show(bulk.__name__, bulk_cost, single_cost)

    world.run(measure)


if __name__ == "__main__":
    main()
