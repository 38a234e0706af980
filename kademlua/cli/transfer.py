"""``kademlua export FILE``, ``kademlua import FILE``: the values of a node that does not run."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import click

from kademlua.cli.config import load_params
from kademlua.cli.data import directory_of, open_state
from kademlua.cli.logs import start_log
from kademlua.cli.options import CONTROL_PORT
from kademlua.core.params import Params

_data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The node's data directory.  [default: that of --port]",
)
_port_option = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=CONTROL_PORT,
    show_default=True,
    help="The node's port, which names its data directory where --data does not.",
)


@click.command("export", short_help="Write a node's values into a file.")
@click.argument("file", type=click.File("w", encoding="utf-8", lazy=True))
@_data_option
@_port_option
def export_values(file: IO[str], data: Path | None, port: int) -> None:
    """Write the values in a data directory into FILE, a line of JSON each; - is the standard
    output. The node must not run.

    \b
    Examples:
        kademlua export values.jsonl --port 8001
        kademlua export - --data DIR | gzip > values.jsonl.gz
    """
    path = data or directory_of(port)
    if not path.is_dir():
        raise click.ClickException(f"no data at {path}")
    start_log("warning", None)  # for what is said of damaged files
    state = open_state(path, Params(), in_background=False)
    from kademlua.storage.transfer import export_lines

    count = -1
    try:
        for count, line in enumerate(export_lines(state.store)):  # noqa: B007  # counts them
            file.write(line + "\n")
    finally:
        state.close()
    click.echo(f"{count:,} values exported", err=True)


@click.command("import", short_help="Read values from such a file.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_data_option
@_port_option
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The node's configuration, for its limits.",
)
def import_values(file: IO[str], data: Path | None, port: int, config: Path | None) -> None:
    """Put the values of FILE, which "kademlua export" wrote, into a data directory, which is
    made where it is missing; - is the standard input. The node must not run.

    \b
    Examples:
        kademlua import values.jsonl --port 8001
        zcat values.jsonl.gz | kademlua import - --data DIR
    """
    params = load_params(config) if config is not None else Params()
    start_log("warning", None)
    state = open_state(data or directory_of(port), params, in_background=False)
    from kademlua.storage.transfer import import_lines

    try:
        result = import_lines(state.store, file)
    finally:
        state.close()
    ended = f", {result.ended:,} had ended" if result.ended else ""
    click.echo(f"{result.taken:,} values imported{ended}", err=True)
    if result.refused:
        reasons = ", ".join(f"{count:,} × {why}" for why, count in sorted(result.refused.items()))
        raise click.ClickException(f"refused: {reasons}")
