"""The built-in scenarios: small versions always, full versions with ``-m slow``."""

import dataclasses

import pytest

from kademlua.simulation.report import formatting
from kademlua.simulation.runner import run
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.scenario import ScenarioEvent, WorkloadSettings


def in_small(name):
    """Return a version with 20 nodes and 90 seconds, and with all kinds of events."""
    scenario = loader.load(loader.scenario_path(name))
    work = dataclasses.replace(
        WorkloadSettings(values=10, warm_up=10.0, finds=20, lookups=20),
        records=scenario.workload.records,
        paths=scenario.workload.paths,
    )
    sybils = scenario.sybils and dataclasses.replace(scenario.sybils, count=60, join=10.0)
    events = [
        dataclasses.replace(event, at=30.0 * number)
        for number, event in enumerate(scenario.events, start=1)
    ]
    churn = scenario.churn and dataclasses.replace(scenario.churn, median=60.0, away=10.0, begins=0)
    return dataclasses.replace(
        scenario.scaled(nodes=20, duration=90.0),
        join=10.0,
        settle=10.0,
        workload=work,
        events=tuple(events),
        churn=churn,
        sybils=sybils,
        requirements=(),
    )


@pytest.mark.parametrize("name", loader.scenario_names())
def test_small_scenario_works(name):
    result = run(in_small(name), 1)
    assert result.packets["raised"] == result.unfinished == 0
    lookups = [each for each in result.operations if each.kind == "lookup"]
    assert len(lookups) + result.abandoned >= 20
    assert result.metrics["recall"] > 0.6
    assert result.metrics["finds"] > 0.6
    assert formatting.format_text(result)


def test_finds_succeed_while_nodes_pause():
    scenario = in_small("quiet")
    pause = ScenarioEvent(at=10.0, action="pause", share=0.3, duration=30.0)
    result = run(dataclasses.replace(scenario, events=(pause,)), 1)
    assert result.packets["lost: paused"] > 0
    assert result.metrics["finds"] == 1


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", loader.scenario_names())
def test_full_scenario_meets_its_requirements(name):
    scenario = loader.load(loader.scenario_path(name))
    if name == "churn-day":  # the full scenario takes hours
        scenario = scenario.scaled(nodes=200)
    if name == "hundred-thousand":  # needs up to an hour and 8 GB, and the compiled build
        scenario = scenario.scaled(nodes=3_000)
    result = run(scenario, 1)
    assert result.packets["raised"] == result.unfinished == 0
    missed = [formatting.requirement_text(each) for each in formatting.failed(result)]
    assert not missed, "\n".join([*missed, formatting.format_text(result)])
