"""Rounds: every contender once per round, each in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence

from kademlua.cli.signals import exit_on_signals
from tests.benchmarks.workload import CONTENDERS, Contender, Result, run

Say = Callable[[str], None]


def compete(
    contenders: Sequence[Contender],
    *,
    nodes: int,
    operations: int,
    rounds: int,
    seed: int,
    seconds: float,
    say: Say,
) -> dict[str, list[Result]]:
    """The results by contender, one of each round; all contenders of a round have one seed.
    RuntimeError where one of them fails."""
    results: dict[str, list[Result]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        # Turned about, so that nobody always runs on the machine that another has heated.
        order = contenders if number % 2 == 0 else contenders[::-1]
        for contender in order:
            say(f"round {number + 1} of {rounds}: {contender.name}")
            numbers = (nodes, operations, seed + number)
            results[contender.name].append(_in_a_process(contender, *numbers, seconds))
    return results


def _in_a_process(
    contender: Contender, nodes: int, operations: int, seed: int, seconds: float
) -> Result:
    arguments = [contender.name, nodes, operations, seed, seconds]
    done = subprocess.run(
        [sys.executable, "-m", __name__, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{contender.name} ended with {done.returncode}")
    return Result.from_json(json.loads(done.stdout))


def _play(name: str, nodes: str, operations: str, seed: str, seconds: str) -> None:
    """Be one contender: print its result and go."""
    # A socket or more by node, and pipes.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    contender = next(each for each in CONTENDERS if each.name == name)
    result = run(contender, int(nodes), int(operations), int(seed), float(seconds))
    print(json.dumps(result.to_json()), flush=True)
    os._exit(0)  # without taking hundreds of nodes down one by one


if __name__ == "__main__":
    with exit_on_signals():
        _play(*sys.argv[1:])
