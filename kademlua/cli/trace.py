"""``kademlua trace FILE``: show one lookup of a simulation."""

from __future__ import annotations

from pathlib import Path

import click

from kademlua.cli.options import FILE
from kademlua.simulation.report import lookup_tree


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--lookup",
    "number",
    type=click.IntRange(1),
    metavar="N",
    help="Number of the add, find or lookup, from 1 by start time.  [default: the slowest]",
)
def trace(file: Path, number: int | None) -> None:
    """Print one lookup of FILE, written by "kademlua simulate --trace", as a tree.

    Below each node are the nodes that it was the first to return. Times are seconds since the
    lookup began, on the clock of the querying node: query sent, reply received.

    \b
    Examples:
        kademlua simulate quiet --nodes 50 --for 1m --trace packets.jsonl
        kademlua trace packets.jsonl
        kademlua trace packets.jsonl --lookup 17
    """
    lookup_tree.print_operation(file, number)
