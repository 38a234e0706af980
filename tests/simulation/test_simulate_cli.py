"""The commands simulate and trace, as processes."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.simulation.small import SMALL
from tests.support.programs import ROOT


@pytest.fixture
def kademlua(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL)

    def call(*args, **more):
        return subprocess.run(
            [sys.executable, "-m", "kademlua", *args],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output="stderr" not in more,
            text=True,
            timeout=60,
            **more,
        )

    return call


def test_simulate_writes_report_json_and_trace(kademlua, tmp_path):
    done = kademlua("simulate", "small.toml", "--json", "f.json", "--trace", "t.jsonl")
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["scenario"] == "small"
    assert f"fingerprint {figures['fingerprint']}" in done.stdout
    tree = kademlua("trace", "t.jsonl", "--lookup", "7")
    assert tree.returncode == 0
    assert " 7 by 10.0.0." in tree.stdout.splitlines()[0]
    assert "└── " in tree.stdout


def test_json_on_stdout_replaces_the_report(kademlua):
    done = kademlua("simulate", "small.toml", "--json", "-", "--nodes", "5", "--for", "10s")
    figures = json.loads(done.stdout)
    assert (figures["nodes"], figures["seconds"]) == (5, 10)


def test_missed_requirement_is_reported_with_the_replay_command(kademlua, tmp_path):
    (tmp_path / "hard.toml").write_text(SMALL.replace("10s", "1ms"))
    done = kademlua("simulate", "hard.toml", "--seed", "9", "--nodes", "6", "--for", "20s")
    assert done.returncode == 1
    missed, again = done.stderr.splitlines()
    assert missed.startswith("MISSED lookup_p99 <= 0.001 from 0s to 20s: ")
    assert again == "again: kademlua simulate hard.toml --seed 9 --nodes 6 --for 20s"


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["simulate"], 2, "Missing argument 'SCENARIO'"),
        (["simulate", "quite"], 2, "no scenario 'quite'; choose from bulk, "),
        (["simulate", "none.toml"], 2, "none.toml: No such file or directory"),
        (["simulate", "bad.toml"], 2, "bad.toml: network.los: unknown key, did you mean loss?"),
        (["simulate", "quiet", "--nodes", "1"], 2, "Invalid value for '--nodes'"),
        (["simulate", "quiet", "--for", "soon"], 2, "Invalid value for '--for': must be seconds"),
        (["simulate", "quiet", "--for", "0"], 2, "must be 1s or more, not '0'"),
        (["simulate", "quiet", "--json", "no/f.json"], 1, "no: no such directory"),
        (
            ["simulate", "quiet", "--plot", "f.gif"],
            1,
            "f.gif: the name of a plot must end in .svg or .png",
        ),
        (["trace", "none.jsonl"], 1, "none.jsonl: No such file or directory"),
        (["trace", "small.toml"], 1, "small.toml: the trace contains no lookup"),
    ],
)
def test_invalid_arguments_are_explained(kademlua, tmp_path, args, status, message):
    (tmp_path / "bad.toml").write_text(SMALL.replace("loss", "los"))
    done = kademlua(*args)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_built_in_scenario_runs_by_name(kademlua):
    done = kademlua("simulate", "ten-thousand", "--nodes", "10", "--for", "1s")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ten thousand nodes: ")


def read_to_the_end(fd):
    shown = b""
    try:
        while True:
            shown += os.read(fd, 4096)
    except OSError:  # the other end of the pseudo-terminal was closed
        return shown.decode()


def test_progress_on_a_terminal(kademlua):
    master, slave = pty.openpty()
    done = kademlua("simulate", "small.toml", stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    shown = read_to_the_end(master)
    os.close(master)
    assert done.returncode == 0
    assert "small" in shown
    assert "75 of 75 virtual seconds" in shown
    assert "virtual seconds" not in done.stdout
