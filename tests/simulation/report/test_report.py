"""Metrics, requirements, reports and plots."""

import json
import tomllib

import pytest

from kademlua.simulation.nodes.operation import WorkloadOperation
from kademlua.simulation.report import formatting, plot
from kademlua.simulation.report.metrics import (
    MachineUsage,
    NetworkSample,
    RunResult,
    evaluate,
    fraction_true,
    percentile,
)
from kademlua.simulation.scenario import loader

SCENARIO = """
title = "T"
shows = "S"
duration = "100s"
[population]
nodes = 10
[workload]
values = 1
finds = 4
"""


def sample(at, **changes):
    plain = {
        "at": at,
        "nodes": 10,
        "arrivals": 0,
        "departures": 0,
        "dead_contacts": 0.0,
        "neighbours": 1.0,
    }
    plain |= {
        "contacts": 9.0,
        "requests_by_rpc": {"ping": int(at)},
        "bytes_by_rpc": {"ping": 60 * int(at)},
        "hostile_contacts": 0.0,
        "hostile_near_key": 0.0,
    }
    return NetworkSample(**plain | changes)


def operation(number, kind, started_at, seconds, **changes):
    plain = {
        "number": number,
        "kind": kind,
        "started_at": started_at,
        "ended_at": started_at + seconds,
        "ok": True,
    }
    return WorkloadOperation(**plain | changes)


def result(demands="", operations=(), **changes):
    plain = {
        "scenario": loader.parse(tomllib.loads(SCENARIO + demands), "name", "name.toml"),
        "seed": 7,
        "fingerprint": "f00d",
        "operations": list(operations),
        "abandoned": 0,
        "unfinished": 0,
        "samples": [sample(0.0), sample(50.0, dead_contacts=0.5), sample(100.0)],
        "node_seconds": 1000.0,
        "packets": {"sent": 2, "delivered": 1, "lost: loss": 1, "raised": 0},
        "machine": MachineUsage(
            wall_seconds=2.0,
            cpu_seconds=1.5,
            joining_wall_seconds=1.0,
            packets_a_wall_second=1234.0,
            memory_mb=50.0,
        ),
    }
    return RunResult(**plain | changes)


LOOKUPS = [
    operation(n, "lookup", n, n / 10, hops=n % 3 + 1, query_count=20 + n, recall=1 - n / 100)
    for n in range(11)
]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([1], 50, 1), ([1, 2], 50, 1), ([3, 1, 2], 50, 2), (range(1, 101), 99, 99), ([1, 9], 99, 9)],
)
def test_percentile(values, percent, expected):
    assert percentile(list(values), percent) == expected


def test_fraction_true():
    assert fraction_true([]) is None
    assert fraction_true([True, False]) == 0.5


def test_metrics_cover_the_measured_time():
    report = result(operations=LOOKUPS)
    assert report.metrics["lookup_p50"] == pytest.approx(0.5)
    assert report.metrics["lookup_p99"] == pytest.approx(1.0)
    assert report.metrics["hops_p50"] == 2
    assert report.metrics["rpcs_a_lookup"] == 25
    assert report.metrics["recall"] == pytest.approx(0.95)
    assert report.metrics["finds"] is None
    assert report.metrics["find_p99"] is None
    assert report.metrics["rpcs_a_node_second"] == pytest.approx(0.1)
    assert report.metrics["bytes_a_node_second"] == pytest.approx(6)
    assert report.rpc_rates() == {"ping": (0.1, 6.0)}


def test_metrics_of_a_period():
    finds = [
        operation(n, "find", 10.0 * n, 0.1, ok=n != 3, crosses_partition=n > 1) for n in range(5)
    ]
    report = result(operations=[*finds, operation(9, "add", -5.0, 1)])
    assert report.metric("finds") == 0.8
    assert report.metric("finds", 30, 40) == 0
    assert report.metric("finds", 31) == 1
    assert report.metric("crossing_finds") == pytest.approx(2 / 3)
    assert report.metric("adds") is None  # adds before the measured time do not count
    assert report.metric("dead_contacts", 0, 60) == 0.5
    assert report.metric("dead_contacts") == 0
    assert report.metric("dead_contacts", 51, 60) is None
    assert report.metric("wall_seconds", 51, 60) == 2


def test_failed_lookups_have_no_latency():
    report = result(operations=[*LOOKUPS, operation(12, "lookup", 1.0, 99.0, ok=False)])
    assert report.metrics["lookup_p99"] == pytest.approx(1.0)


DEMANDS = """
[[demand]]
figure = "lookup_p50"
at_most = "500ms"
[[demand]]
figure = "recall"
at_least = 0.99
[[demand]]
figure = "finds"
at_least = 0.5
[[demand]]
figure = "wall_seconds"
at_most = 3
"""


def test_requirements_are_evaluated():
    report = result(DEMANDS, LOOKUPS)
    assert [verdict.is_met for verdict in evaluate(report)] == [True, False, False, True]
    assert [formatting.requirement_text(each) for each in formatting.failed(report)] == [
        "MISSED recall >= 0.99 from 0s to 100s: 95.00 %",
        "MISSED finds >= 0.5 from 0s to 100s: nothing measured",
    ]


def test_text_report():
    text = formatting.format_text(result(DEMANDS, LOOKUPS))
    assert "T: S" in text
    assert "10 nodes, 100s measured, seed 7" in text
    assert "lookups                          11/11    500 ms    900 ms  1,000 ms" in text
    assert "fingerprint f00d" in text
    assert "MISSED recall" in text
    assert "across partition" not in text
    assert formatting.format_text(result())  # without operations


def test_json_report():
    failed = operation(12, "find", 1.0, 1.0, ok=False, failure_reason="not found")
    report = json.loads(json.dumps(formatting.to_json(result(DEMANDS, [*LOOKUPS, failed, failed]))))
    assert report["fingerprint"] == "f00d"
    assert report["figures"]["finds"] == 0
    assert report["failures"] == {"find: not found": 2}
    assert [each["met"] for each in report["demands"]] == [True, False, False, True]
    assert report["machine"]["wall_seconds"] == 2
    assert len(report["samples"]) == 3


def test_replay_command():
    assert formatting.replay_command("quiet", 3, None, None) == "kademlua simulate quiet --seed 3"
    command = formatting.replay_command("my file.toml", 1, 40, 90.0)
    assert command == "kademlua simulate 'my file.toml' --seed 1 --nodes 40 --for 90s"


def test_plot_without_matplotlib(monkeypatch, tmp_path):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(plot.importlib, "import_module", refuse)
    with pytest.raises(plot.PlotError, match=r"install 'matplotlib>=3.7'"):
        plot.check_path(tmp_path / "x.svg")


def test_invalid_plot_path_is_refused(tmp_path):
    with pytest.raises(plot.PlotError, match=r"must end in \.svg or \.png"):
        plot.check_path(tmp_path / "x.jpeg")
    with pytest.raises(plot.PlotError, match="no such directory"):
        plot.check_path(tmp_path / "none" / "x.svg")


@pytest.mark.parametrize("suffix", ["svg", "PNG"])
def test_plot(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"x.{suffix}"
    plot.check_path(path)
    finds = [operation(n, "find", 10.0 * n, 0.1, ok=n != 3) for n in range(5)]
    plot.draw(result(operations=[*LOOKUPS, *finds]), path)
    assert path.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")
