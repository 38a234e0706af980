"""Count the instructions of each kind of request and operation with callgrind.

Counts do not depend on how busy the machine is, so they show changes that times cannot.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.table import markdown
from tests.benchmarks.verdict import verdict

BUDGETS_PATH = Path(__file__).with_suffix(".toml")
MISSING = "valgrind is not installed: instructions are not counted"
_NOTHING = "nothing"
_SUMMARY = re.compile(r"^summary: (\d+)", re.MULTILINE)

FORMER: Mapping[str, float] = {
    "ping 1.0": 40.3,
    "ping 1.1": 37.4,
    "store 1.0": 88.3,
    "store 1.1": 92.3,
    "findnode 1.0": 114.5,
    "findnode 1.1": 111.6,
    "findvalue 1.0": 129.5,
    "findvalue 1.1": 117.3,
    "put 8": 3_098.6,
    "get 8": 490.4,
    "put 20": 6_431.8,
    "get 20": 357.2,
}
"""Commit 13045a9 in pure Python, in units of 1,000, counted in the same way. Others had counted
39 for ping, 96 for store, 112 for findnode and 166 for findvalue there."""
COMPILED_TARGETS = {"ping": 10.0, "store": 32.0, "findnode": 32.0, "findvalue": 40.0}
"""Instructions of a request in the compiled build, at most, in units of 1,000."""
PURE_SHARE = 0.8
"""Share of the instructions at commit 13045a9, at most, for a request in pure Python."""


@dataclass(frozen=True, slots=True)
class Count:
    """The instructions of one kind of request or operation."""

    kind: str
    thousands: float

    def target(self, build: str) -> float | None:
        """The most that is wanted of the build, in units of 1,000; None for operations."""
        compiled = COMPILED_TARGETS.get(self.kind.split()[0])
        if build == "compiled" or compiled is None:
            return compiled
        return PURE_SHARE * FORMER[self.kind]


def build() -> str:
    """Return ``compiled`` if code of a node is an extension module, else ``pure``."""
    files = [
        str(module.__file__)
        for name, module in list(sys.modules.items())
        if name.startswith("kademlua.")
    ]
    return "compiled" if any(name.endswith((".so", ".pyd")) for name in files) else "pure"


def is_countable() -> bool:
    """Return whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def count_instructions() -> list[Count]:
    """Count all kinds, in about a minute.

    Raises:
        RuntimeError: the counted process failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={folder}/%p",
            sys.executable,
            "-m",
            f"{__package__}.counted",
        ]
        done = subprocess.run(
            command,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"counting failed:\n{done.stderr}")
        return parse_counts(done.stdout, Path(folder))


def parse_counts(output: str, folder: Path) -> list[Count]:
    """Return the counts of the children that ``counted`` printed.

    Args:
        output: a line for each child: kind, operations and pid. Each child named ``nothing``
            is the base of those behind it.
        folder: has one file by callgrind for each pid.

    Raises:
        RuntimeError: a file has no summary.
    """
    counts = []
    base = 0
    for line in output.splitlines():
        kind, operations, pid = line.split("\t")
        summary = _SUMMARY.search((folder / pid).read_text())
        if summary is None:
            raise RuntimeError(f"{kind}: callgrind wrote no summary")
        instructions = int(summary[1])
        if kind == _NOTHING:
            base = instructions
        else:
            counts.append(Count(kind, (instructions - base) / int(operations) / 1000))
    return counts


def load_budgets() -> tuple[str, float, Mapping[str, Mapping[str, float]]]:
    """Return the Python version, the tolerance, and the budgets by build and kind."""
    table = tomllib.loads(BUDGETS_PATH.read_text())
    return table.pop("python"), table.pop("tolerance"), table


def over_budget(
    counts: Sequence[Count], budgets: Mapping[str, float], tolerance: float
) -> list[str]:
    """Return a line for each count that exceeds its budget by more than the tolerance, and for
    each kind in only one of the two."""
    measured = {count.kind: count.thousands for count in counts}
    lines = [f"{kind}: no budget" for kind in measured.keys() - budgets.keys()]
    lines += [f"{kind}: not counted" for kind in budgets.keys() - measured.keys()]
    lines += [
        f"{kind}: {measured[kind]:.1f} thousand instructions, budget {budgets[kind]:.1f}"
        for kind in measured.keys() & budgets.keys()
        if measured[kind] > budgets[kind] * (1 + tolerance)
    ]
    return sorted(lines)


def instructions_text(counts: Sequence[Count], build: str) -> str:
    """Return the table of the counts."""
    header = [
        f"1,000 instructions ({build})",
        "counted",
        "wanted",
        "",
        "budget",
        "13045a9",
        "ratio",
    ]
    budgets = load_budgets()[2][build]
    return "\n".join(markdown(header, [_row(count, build, budgets) for count in counts]))


def _row(count: Count, build: str, budgets: Mapping[str, float]) -> list[str]:
    target, former = count.target(build), FORMER.get(count.kind)
    budget = budgets.get(count.kind)
    return [
        count.kind,
        f"{count.thousands:.1f}",
        f"≤ {target:.1f}" if target else "",
        verdict(is_met=count.thousands <= target) if target else "",
        f"{budget:.1f}" if budget else "",
        f"{former:.1f}" if former else "",
        f"{count.thousands / former:.2f}" if former else "",
    ]
