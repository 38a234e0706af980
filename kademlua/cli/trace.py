"""``kademlua trace FILE``: one lookup of a simulation, packet by packet."""

from __future__ import annotations

from pathlib import Path

import click

from kademlua.simulation.report import lookup_tree


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--lookup",
    "number",
    type=click.IntRange(1),
    metavar="N",
    help="Which add, find or lookup, counted as they began.  [default: the slowest]",
)
def trace(file: Path, number: int | None) -> None:
    """Print one lookup of FILE, which kademlua simulate --trace wrote, as a tree.

    Below each node stand those that it was the first to tell of. Times are those of the
    asking node, in seconds since the lookup began: asked, answered.

    \b
    Examples:
        kademlua simulate quiet --nodes 50 --for 1m --trace packets.jsonl
        kademlua trace packets.jsonl
        kademlua trace packets.jsonl --lookup 17
    """
    for line in lookup_tree.render(file, number):
        click.echo(line)
