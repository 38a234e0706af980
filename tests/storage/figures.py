"""Figures of the store on disk, compared with the one in memory.

    python -m tests.storage.figures [--values 1000000] [--data DIR]

The node and its client are separate processes. Each figure is the median of five rounds, in which
the two stores alternate.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from kademlua.core.contact import Contact
from kademlua.core.params import Params
from kademlua.core.values.store import StoreEntry
from kademlua.runtime.clocks import boot_clock
from kademlua.storage.node_state import NodeState
from tests.storage.processes import NodeProcess

_DAY = 86_400.0
_ROUNDS = 5
_STORES = 10_000
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def rates(directory: Path) -> None:
    """Print stores and finds per second, and the node's CPU time per find."""
    found: dict[str, list[float]] = {}
    for number in range(_ROUNDS):
        for kind in ("disk", "memory"):
            node = NodeProcess(directory / f"rates-{number}", in_memory=kind == "memory")
            flood = node.flood()
            flood.run(_STORES // 10)
            seconds = flood.run(_STORES)
            found.setdefault(f"stores per second, {kind}", []).append(_STORES / seconds)
            keys = list(flood.acknowledged)
            before = _cpu_seconds(node.popen.pid)
            started_at = time.monotonic()
            for _ in range(3):
                assert not flood.missing(keys)
            seconds = time.monotonic() - started_at
            cpu_seconds = _cpu_seconds(node.popen.pid) - before
            found.setdefault(f"finds per second, {kind}", []).append(3 * len(keys) / seconds)
            found.setdefault(f"µs of CPU per find, {kind}", []).append(
                cpu_seconds / (3 * len(keys)) * 1e6
            )
            flood.close()
            node.kill()
    medians = {name: statistics.median(values) for name, values in found.items()}
    for name, value in medians.items():
        print(f"{name}: {value:,.1f}")
    cost = "µs of CPU per find, "
    ratio = medians[cost + "disk"] / medians[cost + "memory"]
    print(f"a find on disk needs {ratio:.2f} times the CPU")


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def start(directory: Path, values: int) -> None:
    """Print the start time and memory of a node with many values, and of an empty one."""
    params = Params(
        max_entries=1_000_000_000,
        max_entries_per_address=1_000_000_000,
        max_stored_bytes=1 << 40,
        max_bytes_per_address=1 << 40,
    )
    state = NodeState(directory / "full", params, in_background=False)
    now = boot_clock()
    for number in range(values):
        owner = Contact("192.0.2.1", 1 + number % 60_000, os.urandom(20))
        encoded = b"100:" + os.urandom(100)
        state.store.put(os.urandom(20), owner, StoreEntry(encoded, now + _DAY, received_at=now))
        if number % 20_000 == 0:
            state.flush()
    state.close()
    size = (directory / "full" / "values.lmdb").stat().st_size
    print(f"{values:,} values in {size / 1e6:,.0f} MB")
    memory = {}
    for name in ("empty", "full", "full"):
        node = NodeProcess(directory / name)
        flood = node.flood()
        flood.run(1_000)
        memory[name] = node.anonymous_memory
        print(
            f"{name}: starts in {node.seconds_to_start:.2f} s, RssAnon {memory[name] / 1e6:.1f} MB"
        )
        flood.close()
        node.kill()
    print(f"memory of the values: {(memory['full'] - memory['empty']) / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, help="a directory for the data")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.data) as directory:
        rates(Path(directory))
        start(Path(directory), args.values)


if __name__ == "__main__":
    main()
