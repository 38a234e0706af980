"""Whole runs: plausible metrics, and reproducibility."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from kademlua.core.contact import Contact
from kademlua.simulation.nodes.operation import recall
from kademlua.simulation.report import formatting
from kademlua.simulation.runner import run
from kademlua.simulation.scenario import loader
from kademlua.simulation.scenario.scenario import WorkloadSettings
from tests.simulation.small import SMALL
from tests.support.programs import ROOT


@pytest.fixture(scope="module")
def quiet():
    return run(small("quiet"), 1)


def small(name, nodes=30, seconds=20.0, **work):
    """Return a small version of a built-in scenario."""
    scenario = loader.load(loader.scenario_path(name)).scaled(nodes, seconds)
    work = WorkloadSettings(**{"values": 20, "warm_up": 10.0, "finds": 30, "lookups": 30} | work)
    return dataclasses.replace(scenario, join=10.0, settle=10.0, workload=work)


def of_the_seed(result):
    """Return the report as JSON text, without the metrics of the machine."""
    report = formatting.to_json(result)
    del report["machine"]
    report["demands"] = [each for each in report["demands"] if "wall" not in each["demand"]]
    return json.dumps(report)


def test_quiet_network_performs_well(quiet):
    figures = quiet.metrics
    assert figures["finds"] == 1
    assert figures["recall"] > 0.98
    assert figures["dead_contacts"] == 0
    assert figures["neighbours"] > 0.9
    assert 1 <= figures["hops_p50"] <= figures["hops_p90"] <= figures["hops_p99"] <= 4
    assert 0.1 < figures["lookup_p50"] <= figures["lookup_p99"] < 3
    assert quiet.abandoned == quiet.unfinished == quiet.packets["raised"] == 0
    lookups = [each for each in quiet.operations if each.kind == "lookup"]
    assert len(lookups) == 30
    assert all(each.query_count >= 20 for each in lookups)
    assert quiet.packets["sent"] > quiet.packets["delivered"] > 0
    assert quiet.samples[0].nodes == quiet.samples[-1].nodes == 30
    assert quiet.node_seconds == pytest.approx(30 * 20)


def test_equal_seeds_give_equal_runs(quiet):
    assert of_the_seed(run(small("quiet"), 1)) == of_the_seed(quiet)


def test_other_seed_gives_another_run(quiet):
    assert run(small("quiet"), 2).fingerprint != quiet.fingerprint


def test_trace_and_progress_do_not_change_the_run(quiet, tmp_path):
    seen = []
    traced = run(
        small("quiet"),
        1,
        on_progress=lambda now, end: seen.append((now, end)),
        trace_path=tmp_path / "trace",
    )
    assert of_the_seed(traced) == of_the_seed(quiet)
    assert len(seen) > 100
    assert seen == sorted(seen)


def test_runs_are_equal_in_different_processes(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    outputs = []
    for hash_seed in ("1", "2"):
        figures = tmp_path / f"{hash_seed}.json"
        subprocess.run(
            [sys.executable, "-m", "kademlua", "simulate", path, "--json", figures],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=60,
        )
        outputs.append(json.loads(figures.read_text()))
        del outputs[-1]["machine"]
    assert outputs[0] == outputs[1]
    assert outputs[0]["samples"][-1]["departures"] > 0


def test_vanishing_halves_the_network():
    result = run(small("half-vanishes", seconds=100.0, finds=100), 1)
    before = [sample for sample in result.samples if sample.at < 59]
    after = [sample for sample in result.samples if sample.at > 61]
    assert {sample.nodes for sample in before} == {30}
    assert {sample.nodes for sample in after} == {15}
    assert before[-1].dead_contacts == 0
    assert after[0].dead_contacts > 0.1
    assert result.metric("finds", 0, 59) == 1


def test_objects_survive_vanished_and_corrupt_holders():
    scenario = loader.load(loader.scenario_path("objects-half-vanish")).scaled(40, 100.0)
    work = WorkloadSettings(objects=2, object_bytes=60_000, warm_up=10.0, object_reads=40)
    result = run(dataclasses.replace(scenario, join=10.0, settle=10.0, workload=work), 1)
    reads = [each for each in result.operations if each.kind == "object"]
    assert len(reads) > 30
    assert result.metric("objects") == 1, [each.failure_reason for each in reads]
    assert result.metrics["object_p99"] < 20
    assert "objects read completely" in formatting.format_text(result)


def test_many_keys_take_fewer_packets_than_single_adds():
    scenario = loader.load(loader.scenario_path("bulk")).scaled(30, 90.0)
    work = WorkloadSettings(bulk_keys=300, warm_up=10.0)
    result = run(dataclasses.replace(scenario, join=10.0, settle=10.0, workload=work), 1)
    assert result.metrics["bulk_adds"] == 1
    assert 0 < result.metrics["bulk_packets"] < 1
    assert 0 < result.metrics["bulk_time"] < 1
    assert "bulk adds with all replicas" in formatting.format_text(result)
    assert run(small("quiet"), 1).metrics["bulk_adds"] is None


def test_partition_and_pause_affect_operations(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(
        """
        title = "T"
        shows = "S"
        duration = "90s"
        [population]
        nodes = 30
        join = "10s"
        settle = "10s"
        [workload]
        values = 10
        warm_up = "5s"
        adds = "1/s"
        finds = "2/s"
        lookups = "1/s"
        [[event]]
        at = 10
        partition = 0.5
        [[event]]
        at = 40
        heal = true
        [[event]]
        at = 60
        pause = 0.1
        lasts = 5
        """
    )
    result = run(loader.load(path), 1)
    crossing = [each for each in result.operations if each.crosses_partition]
    assert crossing
    assert all(each.started_at >= 40 for each in crossing)
    assert result.metrics["crossing_finds"] is not None
    assert result.metrics["adds"] == 1
    reasons = {name.removeprefix("lost: ") for name in result.packets}
    assert {"cut", "paused"} <= reasons


# Recall.


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], 1),
        ([1, 2], [1, 2, 3], 2 / 3),
        ([1, 2, 4], [1, 2, 3], 2 / 3),
        ([1, 2, 3], [1, 2, 9], 1),  # found a closer node that truth omits
        ([], [1, 2, 3], 0),
        ([], [], 1),
    ],
)
def test_recall(found, truth, expected):
    contacts = [Contact("10.0.0.1", 1, number.to_bytes(20, "big")) for number in found]
    assert recall(0, contacts, truth, 3) == pytest.approx(expected)
