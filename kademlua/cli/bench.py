"""``kademlua bench``: benchmark a network on this machine."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from kademlua import bench as benchmark
from kademlua.cli.signals import exit_on_signals
from kademlua.core.errors import KademluaError


@click.command()
@click.option("--nodes", type=click.IntRange(2, 10_000), default=100, help="Number of nodes.")
@click.option(
    "--operations", type=click.IntRange(1), default=1_000, help="Adds, and finds, per phase."
)
@click.option(
    "--at-once",
    type=click.IntRange(2, 1_000),
    default=32,
    metavar="N",
    help="Concurrent operations in the second half.",
)
@click.option(
    "--replicas", type=click.IntRange(1, 1_000), default=20, help="Nodes that store each value."
)
@click.option("--seed", type=int, default=1, help="Seed that selects the nodes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def bench(
    *, nodes: int, operations: int, at_once: int, replicas: int, seed: int, as_json: bool
) -> None:
    """Measure a network of nodes in this process, on loopback.

    Random nodes add values of 100 bytes, and other random nodes find them: first one operation
    at a time, then N concurrently. CPU time is that of the whole process, which runs all nodes;
    memory is the growth of the process per idle node.

    \b
    Examples:
        kademlua bench
        kademlua bench --nodes 1000 --operations 300
        kademlua bench --json > figures.json
    """
    try:
        with exit_on_signals():
            result = benchmark.run(
                nodes,
                operations,
                concurrency=at_once,
                replicas=replicas,
                seed=seed,
                progress=_show_progress,
            )
    except (KademluaError, OSError) as error:
        raise click.ClickException(str(error)) from None
    finally:
        _rewrite_line("")
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), indent=2))
    else:
        click.echo(_format_result(result))


def _show_progress(name: str, done: int, total: int) -> None:
    _rewrite_line(f"{name}: {done} of {total}")


def _rewrite_line(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", nl=False, err=True)


def _format_result(result: benchmark.BenchResult) -> str:
    lines = [
        f"{result.nodes} nodes joined in {result.joined_s:.2f} s "
        f"({result.joined_cpu_s:.2f} s of CPU), {result.kb_per_node:.0f} kB per idle node",
        "",
        f"{'':24}{'ok':>12}{'p50 ms':>9}{'p99 ms':>9}{'ops/s':>10}{'CPU ms':>9}",
    ]
    lines += [
        f"{phase.name:24}{f'{phase.succeeded}/{phase.operations}':>12}{phase.p50_ms:9.2f}"
        f"{phase.p99_ms:9.2f}{phase.per_second:10.0f}{phase.cpu_ms:9.2f}"
        for phase in result.phases
    ]
    return "\n".join(lines)
