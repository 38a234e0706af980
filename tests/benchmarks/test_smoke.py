"""The benchmarks run; their figures are not checked."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from tests.benchmarks import bulk, republish
from tests.benchmarks.__main__ import main
from tests.benchmarks.workload import CONTENDERS

FEW = ["--nodes", "10", "--operations", "5", "--rounds", "1", "--seconds", "5"]


def test_the_workload_of_kademlua(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert main(["network", *FEW, "--only", "kademlua-8", "--json", str(path)]) == 0
    table = capsys.readouterr().out
    assert "| medians" in table
    assert "| put CPU, ms" in table
    [row] = [line for line in table.splitlines() if "kademlua-8 | " in line and "gets that" in line]
    assert [cell.strip() for cell in row.split("|")[3:6]] == ["100.0", "≥ 100", "met"]
    [result] = json.loads(path.read_text())["network"]["kademlua-8"]
    assert len(result["phases"]) == 8
    for phase in result["phases"].values():
        assert phase["operations"] == 5
        assert 0 < phase["p50_ms"] <= phase["p99_ms"]
    assert result["joined_s"] > 0


@pytest.mark.parametrize("name", ["libtorrent", "opendht", "kademlia"])
def test_the_workload_of_a_peer(name: str, tmp_path: Path) -> None:
    [contender] = [each for each in CONTENDERS if each.name == name]
    missing = contender.missing()
    if missing:
        pytest.skip(missing)
    path = tmp_path / "figures.json"
    assert main(["network", *FEW, "--only", name, "--json", str(path)]) == 0
    [result] = json.loads(path.read_text())["network"][name]
    for phase in ("put 1", "get 1", "put 32", "get 32"):
        assert result["phases"][phase]["succeeded"] == 5


def test_missing_peer_library_is_skipped_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["network", *FEW, "--only", "libtorrent"]) == 1
    assert "libtorrent is not installed: pip install -e '.[bench]'" in capsys.readouterr().err


@pytest.mark.parametrize("compiler", [True, False])
def test_the_load_on_one_node(
    compiler: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not compiler:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["rpc", "--requests", "40", "--rounds", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.out.count("| findvalue ") == 2
    assert ("no compiler" in shown.err) or compiler


def test_the_stages_of_a_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stages", "--requests", "20"]) == 0
    assert capsys.readouterr().out.count("| store ") == 3


def test_the_objects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["objects", "--nodes", "10", "--object-bytes", "1000000"]) == 0
    assert capsys.readouterr().out.count("\n| ") == 3


def test_the_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert main(["hosts", "--operations", "5", "--rounds", "1", "--json", str(path)]) == 0
    assert "| ThreadedNode |" in capsys.readouterr().out
    costs = json.loads(path.read_text())["hosts"]
    assert [cost["host"] for cost in costs] == ["Node", "ThreadedNode", "AsyncNode"]
    assert all(cost["hand_over"] > 0 and cost["find"] > 0 for cost in costs)


def test_the_cost_of_a_network_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keyed", "--requests", "40", "--rounds", "2"]) == 0
    assert capsys.readouterr().out.count("\n| ") == 5


def test_the_cost_of_secret_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["secret", "--operations", "20", "--rounds", "1"]) == 0
    assert capsys.readouterr().out.count("\n| ") == 3


def test_many_keys(capsys: pytest.CaptureFixture[str]) -> None:
    bulk.main(["--nodes", "10", "--keys", "50", "--singles", "5"])
    shown = capsys.readouterr().out
    assert "replicas of a key: 10.0" in shown
    assert "× packets" in shown


def test_a_cycle_of_republishing(capsys: pytest.CaptureFixture[str]) -> None:
    republish.main(["--nodes", "30", "--keys", "300"])
    shown = capsys.readouterr().out
    assert " copies of a key stored, by 30 holders" in shown
    assert "for each of 2 regions" in shown
