"""Small scenarios and populations for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import gevent

from kademlua.simulation.clock.loop import run_virtual
from kademlua.simulation.network.latency import ConstantLatency
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.nodes.sybils import start_sybils
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import Scenario

T = TypeVar("T")

SMALL = """
title = "Small"
shows = "a network for tests"
duration = "60s"
[population]
nodes = 15
join = "5s"
settle = "5s"
[population.churn]
median = "2m"
returns = 0.5
away = "10s"
graceful = 0.3
[network]
loss = 0.05
jitter = "10ms"
reordering = 0.1
duplication = 0.05
[workload]
values = 5
warm_up = "5s"
finds = 20
lookups = 20
[[demand]]
figure = "lookup_p99"
at_most = "10s"
"""


def make_scenario(**changes: Any) -> Scenario:
    """Return a scenario with 20 nodes and no operations."""
    plain = {"name": "n", "title": "t", "description": "s", "duration": 60.0, "nodes": 20}
    return Scenario(**plain | {"join": 10.0, "settle": 5.0} | changes)


def with_population(
    test: Callable[[Population, VirtualNetwork], T], scenario: Scenario, seed: int = 1
) -> T:
    """Return ``test(population, network)``, called after all nodes and Sybils have started."""

    def main() -> T:
        streams = RngStreams(seed)
        network = VirtualNetwork(streams, ConstantLatency(0.05))
        population = Population(scenario, streams, network)
        population.start_all()
        gevent.sleep(scenario.settle)
        if scenario.sybils is not None:
            start_sybils(scenario.sybils, streams, population)
        return test(population, network)

    return run_virtual(main)
