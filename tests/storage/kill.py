"""Check that a node killed repeatedly during a flood keeps all acknowledged values.

    python -m tests.storage.kill --times 50

Each run ends with SIGKILL at a random instant. The next run must return the values acknowledged in
the previous one; the last run must return all.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from tests.storage.processes import NodeProcess


class Result(NamedTuple):
    """The outcome of all runs."""

    kills: int
    acknowledged: int
    missing: int
    seconds: float
    slowest_start: float


def kill_repeatedly(data: Path, times: int, stores: int, rng: random.Random) -> Result:
    """Kill a node at least ``times`` times, until ``stores`` stores are acknowledged."""
    acknowledged: dict[bytes, bytes] = {}
    last: dict[bytes, bytes] = {}
    missing: set[bytes] = set()
    kills, slowest, node_id = 0, 0.0, None
    started_at = time.monotonic()
    while True:
        node = NodeProcess(data)
        try:
            assert node_id in (None, node.id), "the node has another id after the restart"
            node_id = node.id
            slowest = max(slowest, node.seconds_to_start)
            flood = node.flood()
            is_last = kills >= times and len(acknowledged) >= stores
            flood.acknowledged = dict(acknowledged if is_last else last)
            missing |= flood.missing(list(flood.acknowledged))
            if is_last:
                break
            flood.acknowledged.clear()
            lifetime = rng.uniform(0, 0.4)
            killer = threading.Timer(lifetime, node.popen.kill)
            killer.start()
            flood.run(1_000_000, until=time.monotonic() + lifetime + 0.02)
            killer.join()
            kills += 1
            last = flood.acknowledged
            acknowledged |= last
            flood.close()
        finally:
            node.kill()
    flood.close()
    return Result(kills, len(acknowledged), len(missing), time.monotonic() - started_at, slowest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--stores", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--data", type=Path, help="a directory for the data")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.data) as directory:
        result = kill_repeatedly(
            Path(directory) / "data", args.times, args.stores, random.Random(args.seed)
        )
    print(
        f"{result.kills} kills, {result.acknowledged:,} stores acknowledged,"
        f" {result.missing:,} missing; {result.seconds:.1f} s,"
        f" slowest start {result.slowest_start:.2f} s"
    )
    raise SystemExit(1 if result.missing or result.acknowledged < args.stores else 0)


if __name__ == "__main__":
    main()
