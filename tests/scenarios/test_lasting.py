"""What the scenarios of lasting values demand, held to it in small."""

from __future__ import annotations

import dataclasses

import pytest

from kademlua.simulation.report import formatting
from kademlua.simulation.report.metrics import RunResult
from kademlua.simulation.runner import run
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.scenario import Scenario, WorkloadSettings

MINUTE, HOUR = 60.0, 3600.0


def in_small(
    name: str, nodes: int, work: WorkloadSettings, duration: float | None = None
) -> Scenario:
    """A scenario with its events and demands, and less to do."""
    scenario = loader.load(loader.scenario_path(name)).scaled(nodes, duration)
    return dataclasses.replace(scenario, join=10.0, settle=20.0, workload=work)


def held_to_its_demands(scenario: Scenario) -> RunResult:
    result = run(scenario, 1)
    missed = [formatting.requirement_text(verdict) for verdict in formatting.failed(result)]
    assert scenario.requirements
    assert not missed, "\n".join([*missed, formatting.format_text(result)])
    return result


def test_three_times_half_vanish() -> None:
    result = held_to_its_demands(
        in_small("thirds-vanish", 48, WorkloadSettings(values=30, warm_up=10.0, finds=100))
    )
    assert result.samples[-1].nodes == 6


def test_most_vanish() -> None:
    result = held_to_its_demands(
        in_small("most-vanish", 60, WorkloadSettings(values=60, warm_up=10.0, finds=200))
    )
    assert result.samples[-1].nodes == 18
    assert result.metrics["placed"] > 0.95


def test_parted_with_writes() -> None:
    work = WorkloadSettings(values=10, warm_up=10.0, adds=50, finds=200)
    result = held_to_its_demands(in_small("partition-with-writes", 36, work))
    assert any(each.crosses_partition for each in result.operations)


def test_hard_churn() -> None:
    work = WorkloadSettings(values_a_node=1, warm_up=20.0, finds=200)
    result = held_to_its_demands(in_small("churn-ten-minutes", 32, work, HOUR / 2))
    assert result.samples[-1].departures > 20
    assert result.metrics["placed"] > 0.9
    assert set(result.purpose_rates()) >= {"replication", "liveliness", "neighbours", "buckets"}


def test_values_end_when_they_should() -> None:
    """Four hours of values that live for half of one, while nodes come and go."""
    scenario = in_small(
        "expiry",
        16,
        WorkloadSettings(values=10, ttl=HOUR / 2, warm_up=10.0, adds=80, finds=80),
        4 * HOUR,
    )
    result = held_to_its_demands(scenario)
    assert result.samples[-1].departures > 20
    assert result.samples[-1].placement.values_a_node < 40
    # What the last holder knows is at most a second less for each time it was handed on.
    assert result.metrics["early_end"] < 0.01


@pytest.mark.parametrize("graceful", [0.0, 1.0])
def test_who_leaves_in_good_order_loses_nothing(graceful: float) -> None:
    """With two replicas: who vanishes takes values along, who says farewell does not."""
    scenario = in_small(
        "churn-ten-minutes", 24, WorkloadSettings(values=40, warm_up=20.0), HOUR / 2
    )
    assert scenario.churn is not None
    result = run(
        dataclasses.replace(
            scenario,
            churn=dataclasses.replace(scenario.churn, graceful=graceful),
            params=scenario.params.replace(replicas=2),
            requirements=(),
        ),
        1,
    )
    assert (result.metrics["kept"] == 1) == bool(graceful)
