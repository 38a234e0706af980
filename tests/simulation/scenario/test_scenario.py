"""Scenario files: valid contents, error messages, built-in scenarios and their document."""

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from kademlua.core.params import Params
from kademlua.simulation.network.conditions import NetworkConditions
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.scenario import (
    ACTIONS,
    METRICS,
    USUAL_BEHAVIOURS,
    ChurnSettings,
    HostileSettings,
    NetworkSettings,
    Requirement,
    SybilSettings,
    WorkloadSettings,
)
from kademlua.simulation.scenario.toml_table import ScenarioError
from tests.support.programs import ROOT

MINIMAL = """
title = "T"
shows = "S"
duration = "2m"
[population]
nodes = 10
"""


def read(text):
    return loader.parse(tomllib.loads(text), "name", "file.toml")


def error_message(text):
    with pytest.raises(ScenarioError) as info:
        read(text)
    message = str(info.value)
    assert message.startswith("file.toml: ")
    return message.removeprefix("file.toml: ")


# Hostile nodes.


def test_hostile_nodes_and_sybils_are_read():
    scenario = read(
        MINIMAL
        + """
        [population.hostile]
        share = 0.2
        behaviours = ["deny", "dead"]
        [population.sybils]
        count = 30
        networks = 3
        bits = 12
        join = "30s"
        behaviours = ["garbage"]
        [workload]
        values = 1
        finds = 2
        records = true
        paths = 4
        """
    )
    assert scenario.hostile == HostileSettings(share=0.2, behaviours=("deny", "dead"))
    assert scenario.sybils == SybilSettings(
        count=30, networks=3, bits=12, join=30.0, behaviours=("garbage",)
    )
    assert (scenario.workload.records, scenario.workload.paths) == (True, 4)
    assert scenario.has_adversaries
    assert scenario.uses_public_addresses
    assert scenario.measure_start == 210


def test_scenario_without_hostile_nodes():
    scenario = read(MINIMAL)
    assert not scenario.has_adversaries
    assert not scenario.uses_public_addresses
    assert read(MINIMAL + "[network]\nnat = 0.1\n").uses_public_addresses
    assert (scenario.hostile, scenario.sybils) == (HostileSettings(), None)
    assert read(MINIMAL + "[population.hostile]").hostile.behaviours == USUAL_BEHAVIOURS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[population.hostile]\nshare = 2", "population.hostile.share: must be 0 to 1, not 2"),
        (
            '[population.hostile]\nbehaviours = ["kind"]',
            "population.hostile.behaviours: must be a list of collude, garbage, dead, deny, "
            "swallow, forge, corrupt, not ['kind']",
        ),
        (
            "[population.hostile]\nbehaviours = []",
            "population.hostile.behaviours: must name at least one",
        ),
        (
            '[population.hostile]\nbehaviours = "deny"',
            "population.hostile.behaviours: must be a list of",
        ),
        (
            "[population.hostile]\nbehaviours = [[]]",
            "population.hostile.behaviours: must be a list of",
        ),
        (
            "[population.hostile]\nsahre = 0.1",
            "population.hostile.sahre: unknown key, did you mean share?",
        ),
        ("[population.sybils]\nnetworks = 3", "population.sybils.count: is missing"),
        ("[population.sybils]\ncount = 0", "population.sybils.count: must be 1 to 100,000, not 0"),
        (
            "[population.sybils]\ncount = 1\nnetworks = 70000",
            "population.sybils.networks: must be 1 to 65,536, not 70,000",
        ),
        (
            '[population.sybils]\ncount = 1\nbehaviours = ["deny"]',
            "population.sybils.behaviours: must be a list of collude, garbage, dead, not ['deny']",
        ),
        ("[workload]\npaths = 0", "workload.paths: must be 1 to 16, not 0"),
        ("[workload]\nrecords = 1", "workload.records: must be true or false, not 1"),
    ],
)
def test_invalid_hostile_settings_are_refused_by_key(text, message):
    assert error_message(MINIMAL + text).startswith(message)


# Contents.


def test_minimal_scenario_has_defaults():
    scenario = read(MINIMAL)
    assert (scenario.name, scenario.nodes, scenario.duration) == ("name", 10, 120)
    assert scenario.churn is None
    assert scenario.params == Params()
    assert (scenario.measure_start, scenario.measure_end) == (180, 300)


def test_full_scenario_is_read():
    scenario = read(
        MINIMAL
        + """
        join = "10s"
        settle = 5
        bootstraps = 2
        [population.churn]
        sessions = "weibull"
        shape = 0.5
        median = "1h"
        stays = 0.1
        graceful = 0.2
        returns = 0.3
        away = "5m"
        [network]
        latency = "lognormal"
        round_trip = "80ms"
        sigma = 0.4
        jitter = "5ms"
        loss = 0.01
        duplication = 0.02
        reordering = 0.03
        bandwidth = 10000
        queue = 5000
        max_packet = 1400
        nat = 0.25
        nat_seconds = 30
        [workload]
        values = 7
        warm_up = "20s"
        adds = "0.5/s"
        finds = 20
        lookups = "2/s"
        value_bytes = 10
        [[event]]
        at = "30s"
        partition = 0.5
        [[event]]
        at = "60s"
        heal = true
        [[event]]
        at = 70
        pause = 0.1
        lasts = "10s"
        [[event]]
        at = 80
        vanish = 0.9
        [params]
        k = 8
        [[demand]]
        figure = "lookup_p99"
        at_most = "500ms"
        from = "30s"
        [[demand]]
        figure = "recall"
        at_least = 0.5
        at_most = 1
        """
    )
    assert scenario.bootstraps == 2
    assert scenario.churn is not None
    assert (scenario.churn.shape, scenario.churn.median) == (0.5, 3600)
    assert (scenario.network.round_trip, scenario.network.nat) == (0.08, 0.25)
    assert scenario.workload.adds == 60
    assert scenario.workload.lookups == 240
    assert [event.action for event in scenario.events] == ["partition", "heal", "pause", "vanish"]
    assert scenario.params.k == 8
    assert scenario.requirements[0] == Requirement(
        metric="lookup_p99", at_most=0.5, start=30, end=120
    )
    assert scenario.requirements[1].text == "recall >= 0.5 and <= 1 from 0s to 2m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "duration: is missing"),
        (MINIMAL.replace('title = "T"', ""), "title: is missing"),
        (MINIMAL.replace('"T"', "1"), "title: must be text, not 1"),
        (MINIMAL.replace("10", '"10"'), "population.nodes: must be a whole number, not '10'"),
        (MINIMAL.replace("10", "1"), "population.nodes: must be 2 to 100,000, not 1"),
        (MINIMAL.replace("nodes", "node"), "population.nodes: is missing"),
        (MINIMAL + "node = 1", "population.node: unknown key, did you mean nodes?"),
        (MINIMAL + "zzz = 1", "population.zzz: unknown key"),
        ("populations = 1\n" + MINIMAL, "populations: unknown key, did you mean population?"),
        (MINIMAL + 'join = "soon"', "population.join: must be seconds, or text like"),
        (MINIMAL + "[population.churn]\n", "population.churn.median: is missing"),
        (
            MINIMAL + '[population.churn]\nsessions = "long"',
            "population.churn.sessions: must be exponential or weibull, not 'long'",
        ),
        (
            MINIMAL + "[population.churn]\nmedian = 60\nshape = 1",
            'population.churn.shape: is allowed only with sessions = "weibull"',
        ),
        (MINIMAL + "[network]\nloss = 2", "network.loss: must be 0 to 1, not 2"),
        (MINIMAL + "[network]\nloss = nan", "network.loss: must be 0 to 1, not nan"),
        (MINIMAL + "[network]\nloss = true", "network.loss: must be a number, not True"),
        (MINIMAL + "[network]\nlos = 0", "network.los: unknown key, did you mean loss?"),
        (
            MINIMAL + "[network]\nsigma = 1",
            'network.sigma: is allowed only with latency = "lognormal"',
        ),
        (MINIMAL + "[network]\nmax_packet = 65508", "network.max_packet: must be 60 to 65,507"),
        (MINIMAL + "[workload]\nfinds = 1", "workload.finds: needs values or adds"),
        (MINIMAL + "[workload]\nchanges = 1", "workload.changes: needs watches"),
        (MINIMAL + '[workload]\nadds = "1/m"', "workload.adds: must be a whole number or like"),
        (MINIMAL + "[[event]]\nvanish = 1", "event[1].at: is missing"),
        (MINIMAL + "[[event]]\nat = 0", "event[1].at: needs exactly one of vanish, partition"),
        (MINIMAL + "[[event]]\nat = 121\nvanish = 1", "event[1].at: must be 0 to 2m, not 121"),
        (MINIMAL + "[[event]]\nat = 1\nheal = false", "event[1].heal: must be true"),
        (MINIMAL + "[[event]]\nat = 1\npause = 1", "event[1].lasts: is missing"),
        (MINIMAL + "[event]\nat = 1", "event: must be written as [[event]]"),
        (MINIMAL + "[params]\nk = 0", "params.k: must be 1 to 64, not 0"),
        (MINIMAL + "[params]\nkk = 1", "params.kk: no such parameter"),
        (MINIMAL + '[[demand]]\nfigure = "speed"', "demand[1].figure: must be lookup_p50 or"),
        (MINIMAL + '[[demand]]\nfigure = "recall"', "demand[1].figure: needs at_least or at_most"),
        (
            MINIMAL + '[[demand]]\nfigure = "recall"\nat_least = 2',
            "demand[1].at_least: must be 0 to 1, not 2",
        ),
        (
            MINIMAL + '[[demand]]\nfigure = "recall"\nat_least = 1\nfrom = 60\nto = 30',
            "demand[1].to: must be 1m to 2m, not 30",
        ),
    ],
)
def test_invalid_scenarios_are_refused_by_key(text, message):
    assert error_message(text).startswith(message)


def test_unreadable_files_are_refused(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(b"title = \xff")
    with pytest.raises(ScenarioError, match="invalid TOML"):
        loader.load(path)
    path.write_text("title = ")
    with pytest.raises(ScenarioError, match="invalid TOML"):
        loader.load(path)
    with pytest.raises(ScenarioError, match="No such file"):
        loader.load(tmp_path / "none.toml")


# Scaling.


def test_scaled_scenario_keeps_events_and_requirements_within_its_time():
    scenario = read(
        MINIMAL
        + """
        [workload]
        values = 5
        finds = 100
        [[event]]
        at = 10
        vanish = 0.5
        [[event]]
        at = 90
        vanish = 0.5
        [[demand]]
        figure = "finds"
        at_least = 1
        [[demand]]
        figure = "finds"
        at_least = 1
        from = 60
        """
    )
    shorter = scenario.scaled(nodes=20, duration=30)
    assert (shorter.nodes, shorter.duration) == (20, 30)
    assert (shorter.workload.finds, shorter.workload.values) == (25, 5)
    assert [event.at for event in shorter.events] == [10]
    assert [(demand.start, demand.end) for demand in shorter.requirements] == [(0, 30)]
    assert scenario.scaled() == scenario


# Built-in scenarios.


def test_built_in_scenarios_are_listed():
    assert loader.scenario_names() == [
        "bulk",
        "churn-day",
        "churn-hour",
        "churn-ten-minutes",
        "eclipse-64-nets",
        "eclipse-one-net",
        "expiry",
        "half-vanishes",
        "hostile-20",
        "hostile-50",
        "hundred-thousand",
        "lossy-2",
        "lossy-20",
        "most-vanish",
        "nat",
        "objects-half-vanish",
        "partition-heals",
        "partition-with-writes",
        "quiet",
        "slow",
        "ten-thousand",
        "thirds-vanish",
        "watch-churn",
    ]
    assert loader.SCENARIO_DIR.resolve() == ROOT / "swarm" / "scenarios"


@pytest.mark.parametrize("name", loader.scenario_names())
def test_built_in_scenario_loads_and_states_its_purpose(name):
    path = loader.scenario_path(name)
    assert path.read_text().startswith("# Shows: ")
    assert loader.load(path).name == name


def test_scenario_is_found_by_path_or_name():
    assert loader.scenario_path("swarm/x.toml") == Path("swarm/x.toml")
    assert loader.scenario_path("x.toml") == Path("x.toml")
    with pytest.raises(ScenarioError, match="no scenario 'quite'; choose from bulk, churn-day"):
        loader.scenario_path("quite")


# The document.

DOCUMENT = (ROOT / "docs" / "simulation.md").read_text()
EXAMPLE = re.search(r"^```toml\n(.*?)^```", DOCUMENT, re.M | re.S)[1]


def test_document_example_shows_the_defaults():
    example = read(EXAMPLE)
    plain = read(MINIMAL)
    assert (example.network, example.conditions) == (plain.network, plain.conditions)
    assert example.workload == plain.workload
    assert (example.join, example.settle, example.bootstraps) == (60, 60, 3)
    assert (plain.join, plain.settle, plain.bootstraps) == (60, 60, 3)
    assert example.churn == ChurnSettings(median=3600.0)
    assert example.hostile == HostileSettings()
    assert example.sybils == SybilSettings(count=1000)
    assert {event.action for event in example.events} == set(ACTIONS)


TABLES = {
    "churn": [ChurnSettings],
    "hostile": [HostileSettings],
    "sybils": [SybilSettings],
    "network": [NetworkSettings, NetworkConditions],
    "workload": [WorkloadSettings],
}


@pytest.mark.parametrize("table", TABLES)
def test_document_example_contains_every_key(table):
    values = tomllib.loads(EXAMPLE)
    given = (values | values["population"])[table]
    known = {spec.name for kind in TABLES[table] for spec in dataclasses.fields(kind)}
    assert set(given) == known - {"shape", "sigma"}  # allowed with one model only


def test_document_describes_every_metric():
    rows = DOCUMENT.partition("| metric | meaning |")[2].partition("\n\n")[0]
    described = set()
    for row in rows.splitlines()[2:]:
        names = re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])
        described |= {
            name if name[0] != "_" else names[0].rpartition("_")[0] + name for name in names
        }
    assert described == set(METRICS)
