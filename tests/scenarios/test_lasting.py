"""Small versions of the scenarios about values meet all their requirements."""

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
    """Return a scenario with its events and requirements, but a smaller workload."""
    scenario = loader.load(loader.scenario_path(name)).scaled(nodes, duration)
    return dataclasses.replace(scenario, join=10.0, settle=20.0, workload=work)


def run_and_check(scenario: Scenario) -> RunResult:
    """Run a scenario and assert that it meets its requirements."""
    result = run(scenario, 1)
    missed = [formatting.requirement_text(each) for each in formatting.failed(result)]
    assert scenario.requirements
    assert not missed, "\n".join([*missed, formatting.format_text(result)])
    return result


def test_values_survive_three_times_half_vanishing() -> None:
    result = run_and_check(
        in_small("thirds-vanish", 48, WorkloadSettings(values=30, warm_up=10.0, finds=100))
    )
    assert result.samples[-1].nodes == 6


def test_values_survive_most_nodes_vanishing() -> None:
    result = run_and_check(
        in_small("most-vanish", 60, WorkloadSettings(values=60, warm_up=10.0, finds=200))
    )
    assert result.samples[-1].nodes == 18
    assert result.metrics["placed"] > 0.95


def test_values_written_during_a_partition_are_found_after_it() -> None:
    work = WorkloadSettings(values=10, warm_up=10.0, adds=50, finds=200)
    result = run_and_check(in_small("partition-with-writes", 36, work))
    assert any(each.crosses_partition for each in result.operations)


def test_values_survive_hard_churn() -> None:
    work = WorkloadSettings(values_a_node=1, warm_up=20.0, finds=200)
    result = run_and_check(in_small("churn-ten-minutes", 32, work, HOUR / 2))
    assert result.samples[-1].departures > 20
    assert result.metrics["placed"] > 0.9
    assert set(result.purpose_rates()) >= {"replication", "liveliness", "neighbours", "buckets"}


def test_values_expire_on_time_under_churn() -> None:
    """Values with a TTL of half an hour, over four hours."""
    scenario = in_small(
        "expiry",
        16,
        WorkloadSettings(values=10, ttl=HOUR / 2, warm_up=10.0, adds=80, finds=80),
        4 * HOUR,
    )
    result = run_and_check(scenario)
    assert result.samples[-1].departures > 20
    assert result.samples[-1].placement.values_a_node < 40
    # Each transfer of a value shortens its remaining time by at most a second.
    assert result.metrics["early_end"] < 0.01


@pytest.mark.parametrize("graceful", [0.0, 1.0])
def test_graceful_departures_lose_no_value(graceful: float) -> None:
    """With two replicas, nodes that vanish lose values; nodes that hand over do not."""
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


def test_watchers_see_all_changes_under_churn() -> None:
    """Nodes live for five minutes in the median; 1 % loss."""
    work = WorkloadSettings(watches=20, warm_up=10.0, changes=120)
    scenario = in_small("watch-churn", 30, work, 30 * MINUTE)
    assert scenario.churn is not None
    churn = dataclasses.replace(scenario.churn, median=5 * MINUTE, stays=0.3, away=60.0)
    result = run_and_check(dataclasses.replace(scenario, churn=churn))
    assert result.samples[-1].departures > 20
    assert sum(each.kind == "change" for each in result.operations) == 120
