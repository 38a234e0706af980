"""What the scenarios of lasting values demand, held to it in small."""

from __future__ import annotations

import dataclasses

import pytest

from kademlua.simulation.report import formatting
from kademlua.simulation.report.metrics import Result
from kademlua.simulation.runner import run
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.scenario import Scenario, Workload

MINUTE, HOUR = 60.0, 3600.0


def in_small(name: str, nodes: int, work: Workload, duration: float | None = None) -> Scenario:
    """A scenario with its events and demands, and less to do."""
    scenario = loader.load(loader.find(name)).changed(nodes, duration)
    return dataclasses.replace(scenario, join=10.0, settle=20.0, workload=work)


def held_to_its_demands(scenario: Scenario) -> Result:
    result = run(scenario, 1)
    missed = [formatting.verdict_text(verdict) for verdict in formatting.missed(result)]
    assert scenario.demands
    assert not missed, "\n".join([*missed, formatting.as_text(result)])
    return result


def test_three_times_half_vanish() -> None:
    result = held_to_its_demands(
        in_small("thirds-vanish", 48, Workload(values=30, warm_up=10.0, finds=100))
    )
    assert result.samples[-1].nodes == 6


def test_most_vanish() -> None:
    result = held_to_its_demands(
        in_small("most-vanish", 60, Workload(values=60, warm_up=10.0, finds=200))
    )
    assert result.samples[-1].nodes == 18
    assert result.figures["placed"] > 0.95


def test_parted_with_writes() -> None:
    work = Workload(values=10, warm_up=10.0, adds=50, finds=200)
    result = held_to_its_demands(in_small("partition-with-writes", 36, work))
    assert any(each.crosses for each in result.operations)


def test_hard_churn() -> None:
    work = Workload(values_a_node=1, warm_up=20.0, finds=200)
    result = held_to_its_demands(in_small("churn-ten-minutes", 32, work, HOUR / 2))
    assert result.samples[-1].left > 20
    assert result.figures["placed"] > 0.9
    assert set(result.causes()) >= {"replication", "liveliness", "neighbours", "buckets"}


def test_values_end_when_they_should() -> None:
    """Four hours of values that live for half of one, while nodes come and go."""
    scenario = in_small(
        "expiry", 16, Workload(values=10, ttl=HOUR / 2, warm_up=10.0, adds=80, finds=80), 4 * HOUR
    )
    result = held_to_its_demands(scenario)
    assert result.samples[-1].left > 20
    assert result.samples[-1].held.values_a_node < 40
    # What the last holder knows is at most a second less for each time it was handed on.
    assert result.figures["early_end"] < 0.01


@pytest.mark.parametrize("graceful", [0.0, 1.0])
def test_who_leaves_in_good_order_loses_nothing(graceful: float) -> None:
    """With two replicas: who vanishes takes values along, who says farewell does not."""
    scenario = in_small("churn-ten-minutes", 24, Workload(values=40, warm_up=20.0), HOUR / 2)
    assert scenario.churn is not None
    result = run(
        dataclasses.replace(
            scenario,
            churn=dataclasses.replace(scenario.churn, graceful=graceful),
            params=scenario.params.replace(replicas=2),
            demands=(),
        ),
        1,
    )
    assert (result.figures["kept"] == 1) == bool(graceful)
