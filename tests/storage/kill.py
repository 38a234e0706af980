"""A node is killed again and again while it stores at full speed: what it acknowledged is there.

    python -m tests.storage.kill --times 50

Each life ends with SIGKILL at a random instant. The next one is asked for all that was
acknowledged in the life before, the last one for everything.
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
    """What came of it."""

    kills: int
    acknowledged: int
    missing: int
    seconds: float
    slowest_start: float


def kill_again_and_again(data: Path, times: int, stores: int, rng: random.Random) -> Result:
    """Kill a node so many times, and more until so many stores were acknowledged."""
    acknowledged: dict[bytes, bytes] = {}
    last: dict[bytes, bytes] = {}
    missing: set[bytes] = set()
    kills, slowest, node_id = 0, 0.0, None
    began = time.monotonic()
    while True:
        node = NodeProcess(data)
        try:
            assert node_id in (None, node.id), "it came back as somebody else"
            node_id = node.id
            slowest = max(slowest, node.seconds_to_start)
            flood = node.flood()
            is_last = kills >= times and len(acknowledged) >= stores
            flood.acknowledged = dict(acknowledged if is_last else last)
            missing |= flood.missing(list(flood.acknowledged))
            if is_last:
                break
            flood.acknowledged.clear()
            life = rng.uniform(0, 0.4)
            killer = threading.Timer(life, node.popen.kill)
            killer.start()
            flood.run(1_000_000, until=time.monotonic() + life + 0.02)
            killer.join()
            kills += 1
            last = flood.acknowledged
            acknowledged |= last
            flood.close()
        finally:
            node.kill()
    flood.close()
    return Result(kills, len(acknowledged), len(missing), time.monotonic() - began, slowest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--stores", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--data", type=Path, help="a directory to do it in")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.data) as directory:
        result = kill_again_and_again(
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
