"""The benchmark runs all its operations. The figures themselves are not checked."""

import json

from click.testing import CliRunner

from kademlua import bench
from kademlua.cli.bench import bench as command


def test_all_operations_are_counted_and_succeed() -> None:
    phases = []
    result = bench.run(
        10, 60, concurrency=8, replicas=5, progress=lambda name, done, total: phases.append(name)
    )
    assert [phase.name for phase in result.phases] == [
        "add",
        "find",
        "add, 8 at a time",
        "find, 8 at a time",
    ]
    for phase in result.phases:
        assert (phase.operations, phase.succeeded) == (60, 60)
        assert 0 < phase.p50_ms <= phase.p99_ms
        assert phase.per_second > 0
        assert phase.cpu_ms > 0
    assert result.joined_s > 0
    assert {"join", "add", "find"} <= set(phases)


def test_bench_command_prints_text_and_json() -> None:
    arguments = ["--nodes", "5", "--operations", "20", "--at-once", "4"]
    text = CliRunner().invoke(command, arguments)
    assert text.exit_code == 0
    assert text.output.startswith("5 nodes joined in ")
    assert text.output.count("20/20") == 4
    figures = json.loads(CliRunner().invoke(command, [*arguments, "--json"]).stdout)
    assert figures["nodes"] == 5
    assert [phase["succeeded"] for phase in figures["phases"]] == [20] * 4


def test_bench_command_rejects_invalid_arguments() -> None:
    for arguments in (["--nodes", "1"], ["--operations", "0"], ["--at-once", "x"], ["much"]):
        assert CliRunner().invoke(command, arguments).exit_code == 2
