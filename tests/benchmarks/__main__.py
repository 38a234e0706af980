"""``python -m tests.benchmarks [network] [rpc] [stages] [keyed] [hosts] [objects]
[instructions] [secret]``."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kademlua.cli.signals import exit_on_signals
from tests.benchmarks import hosts, instructions, keyed, objects, rounds, rpc, secret, stages
from tests.benchmarks.table import network_text
from tests.benchmarks.workload import CONTENDERS

PARTS = ("network", "rpc", "stages", "keyed", "hosts", "objects", "instructions", "secret")


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that were asked for; the exit code."""
    asked = _parser().parse_args(arguments)
    found: dict[str, Any] = {}
    try:
        for part in asked.parts or PARTS[:2]:
            found[part] = _PARTS[part](asked)
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", default=[])
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--operations", type=int, default=1_000, help="of each kind and phase")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="after which a phase begins nothing more"
    )
    parser.add_argument("--requests", type=int, default=20_000, help="for the figures per RPC")
    parser.add_argument("--object-bytes", type=int, default=100_000_000)
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--only", action="append", choices=names, help="may be given several times")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _network(asked: argparse.Namespace) -> dict[str, Any]:
    contenders = []
    for contender in CONTENDERS:
        if asked.only and contender.name not in asked.only:
            continue
        missing = contender.missing()
        if missing:
            _say(f"{contender.name} is left out: {missing}")
        else:
            contenders.append(contender)
    if not contenders:
        raise RuntimeError("nobody is left to measure")
    results = rounds.compete(
        contenders,
        nodes=asked.nodes,
        operations=asked.operations,
        rounds=asked.rounds,
        seed=asked.seed,
        seconds=asked.seconds,
        say=_say,
    )
    print(f"{asked.nodes} nodes, {asked.operations} operations, {asked.rounds} rounds\n")
    print(network_text(results, asked.nodes, asked.operations) + "\n")
    return {name: [each.to_json() for each in found] for name, found in results.items()}


def _rpc(asked: argparse.Namespace) -> list[dict[str, Any]]:
    loads = rpc.measure_rpcs(asked.rounds, asked.requests, asked.seed, _say)
    print(f"{rpc.IN_FLIGHT} requests in flight, {asked.requests} requests, {asked.rounds} rounds\n")
    print(rpc.rpc_text(loads) + "\n")
    return [asdict(load) for load in loads]


def _stages(asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = stages.measure_stages(asked.requests, asked.seed)
    print(stages.stages_text(found) + "\n")
    return [asdict(each) for each in found]


def _keyed(asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = keyed.measure_keyed(asked.rounds, asked.requests, asked.seed, _say)
    print(keyed.keyed_text(found) + "\n")
    return [asdict(each) for each in found]


def _hosts(asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = hosts.measure_hosts(asked.rounds, asked.operations)
    print(hosts.hosts_text(found) + "\n")
    return [asdict(each) for each in found]


def _objects(asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = objects.measure_objects(asked.nodes, asked.object_bytes, asked.seed)
    print(f"{asked.nodes} nodes, 8 replicas, an object of {asked.object_bytes:,} bytes\n")
    print(objects.objects_text(found) + "\n")
    return [asdict(each) for each in found]


def _instructions(_: argparse.Namespace) -> list[dict[str, Any]]:
    if not instructions.is_countable():
        _say(instructions.MISSING)
        return []
    found = instructions.count_instructions()
    print(instructions.instructions_text(found, instructions.build()) + "\n")
    return [asdict(each) for each in found]


def _secret(asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = secret.measure_secret(asked.rounds, asked.operations)
    print(secret.secret_text(found) + "\n")
    return [asdict(each) for each in found]


_PARTS = {
    "network": _network,
    "rpc": _rpc,
    "stages": _stages,
    "keyed": _keyed,
    "hosts": _hosts,
    "objects": _objects,
    "instructions": _instructions,
    "secret": _secret,
}


if __name__ == "__main__":
    with exit_on_signals():
        sys.exit(main())
