"""``kademlua export FILE``, ``kademlua import FILE``: the values of a node, running or not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from kademlua.api.fields import held_json, held_of_json
from kademlua.cli.config import load_params
from kademlua.cli.data_dirs import directory_of, open_state
from kademlua.cli.logs import start_log
from kademlua.cli.options import CONTROL_PORT
from kademlua.control.client import ControlClient
from kademlua.control.unix_socket import NAME, ControlError
from kademlua.core.params import Params
from kademlua.storage.export_format import (
    Held,
    Imported,
    held_of,
    import_lines,
    lines_of,
    read_lines,
)

_BATCH = 32_768
"""Bytes of values in one request, about."""
_OVERHEAD = 300
"""Bytes of what stands around a value."""

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
    """Write the values that a node keeps into FILE, a line of JSON each; - is the standard
    output. They come from its data directory; where the node runs, from the node.

    \b
    Examples:
        kademlua export values.jsonl --port 8001
        kademlua export - --data DIR | gzip > values.jsonl.gz
    """
    path = data or directory_of(port)
    if not path.is_dir():
        raise click.ClickException(f"no data at {path}")
    count = -1
    with _values(path) as values:
        for count, line in enumerate(lines_of(values)):  # noqa: B007  # counts them
            file.write(line + "\n")
    click.echo(f"{count:,} values exported", err=True)


@contextmanager
def _values(path: Path) -> Iterator[Iterable[Held]]:
    running = _running(path)
    if running is not None:
        with running:
            yield map(held_of_json, running.rows("stored"))
        return
    start_log("warning", None)  # for what is said of damaged files
    state = open_state(path, Params(), in_background=False)
    try:
        yield held_of(state.store, state.store.keys(), time.monotonic)
    finally:
        state.close()


def _running(path: Path) -> ControlClient | None:
    """The node that has a directory; None where none answers."""
    try:
        return ControlClient(path / NAME)
    except ControlError:
        return None


@click.command("import", short_help="Read values from such a file.")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_data_option
@_port_option
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The node's configuration, for its limits; one that runs knows it already.",
)
def import_values(file: IO[str], data: Path | None, port: int, config: Path | None) -> None:
    """Put the values of FILE, which "kademlua export" wrote, into a data directory, which is
    made where it is missing; - is the standard input. Where the node runs, it takes them itself.

    \b
    Examples:
        kademlua import values.jsonl --port 8001
        zcat values.jsonl.gz | kademlua import - --data DIR
    """
    params = load_params(config) if config is not None else Params()
    path = data or directory_of(port)
    running = _running(path)
    if running is not None:
        with running:
            result = _import_by(running, read_lines(file))
    else:
        start_log("warning", None)
        state = open_state(path, params, in_background=False)
        try:
            result = import_lines(state.store, file)
        finally:
            state.close()
    ended = f", {result.ended:,} had ended" if result.ended else ""
    click.echo(f"{result.taken:,} values imported{ended}", err=True)
    if result.refused:
        reasons = ", ".join(f"{count:,} × {why}" for why, count in sorted(result.refused.items()))
        raise click.ClickException(f"refused: {reasons}")


def _import_by(running: ControlClient, values: Iterable[Held]) -> Imported:
    """Have a running node take values, some at a time."""
    result = Imported()
    batch: list[Held] = []
    size = 0
    for held in values:
        if batch and size + len(held.encoded) > _BATCH:
            _send(running, batch, result)
            batch, size = [], 0
        batch.append(held)
        size += len(held.encoded) + _OVERHEAD
    if batch:
        _send(running, batch, result)
    return result


def _send(running: ControlClient, batch: list[Held], result: Imported) -> None:
    told = running.do("import", values=[held_json(held) for held in batch])
    result.taken += told["taken"]
    result.ended += told["ended"]
    for reason, count in told["refused"].items():
        result.refuse(reason, count)
