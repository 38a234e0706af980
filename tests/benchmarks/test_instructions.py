"""The instructions of requests stay within their budgets, which instructions.toml holds."""

import sys
from pathlib import Path

import pytest

from tests.benchmarks import instructions
from tests.benchmarks.__main__ import main
from tests.benchmarks.instructions import (
    FORMER,
    Count,
    build,
    count_instructions,
    instructions_text,
    is_countable,
    load_budgets,
    over_budget,
    parse_counts,
)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_counts_stay_within_their_budgets() -> None:
    if not is_countable():
        pytest.skip(instructions.MISSING)
    version, tolerance, budgets = load_budgets()
    if version != f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip(f"the budgets are those of Python {version}")
    if not budgets[build()]:
        pytest.skip(f"the {build()} build has no budgets yet")
    assert over_budget(count_instructions(), budgets[build()], tolerance) == []


def write_summary(folder: Path, pid: int, instructions: int) -> None:
    (folder / str(pid)).write_text(f"version: 1\nevents: Ir\nsummary: {instructions}\ntotals: 1\n")


def test_count_is_the_difference_to_the_base_by_operation(tmp_path: Path) -> None:
    for pid, total in ((1, 1_000_000), (2, 1_500_000), (3, 2_000_000), (4, 2_600_000)):
        write_summary(tmp_path, pid, total)
    output = "nothing\t0\t1\nping 1.0\t50\t2\nnothing\t0\t3\nput 8\t100\t4\n"
    assert parse_counts(output, tmp_path) == [Count("ping 1.0", 10.0), Count("put 8", 6.0)]


def test_output_of_callgrind_without_summary_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("version: 1\n")
    with pytest.raises(RuntimeError, match="wrote no summary"):
        parse_counts("nothing\t0\t1\n", tmp_path)


def test_count_over_its_budget_is_named() -> None:
    budgets = {"ping 1.0": 10.0, "ping 1.1": 10.0, "put 8": 10.0}
    counts = [Count("ping 1.0", 10.2), Count("ping 1.1", 10.4), Count("get 8", 1.0)]
    assert over_budget(counts, budgets, 0.03) == [
        "get 8: no budget",
        "ping 1.1: 10.4 thousand instructions, budget 10.0",
        "put 8: not counted",
    ]


def test_targets_depend_on_the_build() -> None:
    assert Count("ping 1.0", 1.0).target("compiled") == 10
    assert Count("ping 1.0", 1.0).target("pure") == pytest.approx(0.8 * FORMER["ping 1.0"])
    assert Count("put 8", 1.0).target("pure") is None


def test_table_says_which_targets_are_met() -> None:
    lines = instructions_text([Count("ping 1.0", 9.0), Count("put 8", 9.0)], "compiled")
    assert "| ping 1.0 " in lines
    assert lines.count(" met ") == 1
    assert "MISSED" in instructions_text([Count("ping 1.0", 99.0)], "pure")


def test_without_valgrind_nothing_is_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions, "is_countable", lambda: False)
    assert main(["instructions"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "valgrind is not installed: instructions are not counted\n"
