"""``kademlua export FILE``, ``kademlua import FILE``: the stored values of a node."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from kademlua.api.fields import stored_value_from_json
from kademlua.api.json_form import stored_value_to_json
from kademlua.cli.config import load_config
from kademlua.cli.data_dirs import find_data_dir, open_state
from kademlua.cli.extras import require_package
from kademlua.cli.logs import configure_logging
from kademlua.cli.options import ANY_PATH, CONTROL_PORT, DIRECTORY
from kademlua.control.client import ControlClient
from kademlua.control.unix_socket import SOCKET_NAME, ControlError
from kademlua.core.errors import KademluaError, StorageError
from kademlua.core.params import Params
from kademlua.runtime.clocks import boot_clock
from kademlua.storage.durable_files import write_whole
from kademlua.storage.export_format import (
    MAX_LINE_CHARS,
    ImportResult,
    StoredValue,
    describe_imported,
    import_lines,
    parse_json_lines,
    stored_values,
    to_json_lines,
)

if TYPE_CHECKING:
    from kademlua.storage.lmdb_store import LmdbStore

_BATCH_BYTES = 32_768
"""Approximate bytes of values per request."""
_OVERHEAD_BYTES = 300
"""Estimated bytes that the JSON form adds to a value."""

_data_option = click.option(
    "--data",
    type=DIRECTORY,
    metavar="DIR",
    help="The node's data directory.  [default: that of --port]",
)
_port_option = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=CONTROL_PORT,
    help="The node's port, which selects the default data directory.",
)


@click.command("export", short_help="Export a node's values to a file.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@_data_option
@_port_option
def export_values(file: Path, data: Path | None, port: int) -> None:
    """Write the values that a node stores to FILE, one line of JSON per value; - is standard
    output. A running node is asked; otherwise its data directory is read. FILE is replaced when
    the export is complete.

    \b
    Examples:
        kademlua export values.jsonl --port 8001
        kademlua export - --data DIR | gzip > values.jsonl.gz
    """
    path = data or find_data_dir(port)
    if not path.is_dir():
        raise click.ClickException(f"no data at {path}")
    count = 0
    with _open_values(path) as values, _open_export(file) as output:
        for count, line in enumerate(to_json_lines(values)):  # noqa: B007  # counts them
            output.write(line + "\n")
    click.echo(f"{count - 1:,} values exported", err=True)


@contextmanager
def _open_export(path: Path) -> Iterator[IO[str]]:
    if str(path) == "-":
        with click.open_file("-", "w", encoding="utf-8") as output:
            yield output
    else:
        with write_whole(path) as output:
            yield output


@contextmanager
def _open_values(path: Path) -> Iterator[Iterable[StoredValue]]:
    client = _connect_if_running(path)
    if client is not None:
        with client:
            yield map(stored_value_from_json, client.stream("stored"))
    else:
        with _open_store(path, Params()) as store:
            yield stored_values(store, store.keys(), boot_clock)


@contextmanager
def _open_store(path: Path, params: Params) -> Iterator[LmdbStore]:
    configure_logging("warning", None)  # for warnings about damaged files
    with closing(open_state(path, params, in_background=False)) as state:
        yield state.store


def _connect_if_running(path: Path) -> ControlClient | None:
    """Connect to the node that uses a data directory; return None if none runs."""
    try:
        return ControlClient(path / SOCKET_NAME)
    except ControlError:
        return None


@click.command("import", short_help="Import values from an exported file.")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))
@_data_option
@_port_option
@click.option(
    "--config",
    type=ANY_PATH,
    metavar="FILE",
    help="The node's configuration, for its limits; ignored if the node runs.",
)
def import_values(file: IO[str], data: Path | None, port: int, config: Path | None) -> None:
    """Import the values of FILE, written by "kademlua export", into a data directory; - is
    standard input. A missing directory is created. A running node imports them itself. FILE is
    checked first, and nothing of a damaged one is imported.

    \b
    Examples:
        kademlua import values.jsonl --port 8001
        zcat values.jsonl.gz | kademlua import - --data DIR
    """
    params = load_config(config).params if config is not None else Params()
    path = data or find_data_dir(port)
    client = _connect_if_running(path)
    if client is not None:
        with client, _checked(file) as lines:
            result = _import_through_daemon(client, parse_json_lines(lines))
    else:
        require_package("lmdb", "disk")
        with _checked(file) as lines, _open_store(path, params) as store:
            result = import_lines(store, lines, max_ttl=params.max_ttl)
    expired = f", {result.expired:,} expired" if result.expired else ""
    click.echo(f"{result.imported:,} values imported{expired}", err=True)
    if result.refused:
        reasons = ", ".join(f"{count:,} × {why}" for why, count in sorted(result.refused.items()))
        raise click.ClickException(f"refused: {reasons}")


@contextmanager
def _checked(file: IO[str]) -> Iterator[Iterable[str]]:
    """Check an export to its end, and yield its lines.

    Raises:
        click.ClickException: it is damaged or no export.
    """
    name = file.name
    lines = iter(partial(file.readline, MAX_LINE_CHARS + 1), "")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as copy:  # of what can be read only once
        source, start = (file, file.tell()) if file.seekable() else (copy, 0)
        try:
            for _ in parse_json_lines(lines if source is file else _copied(lines, copy)):
                pass
        except StorageError as error:
            raise click.ClickException(f"{name}: {error}; nothing was imported") from None
        source.seek(start)
        yield iter(partial(source.readline, MAX_LINE_CHARS + 1), "")


def _copied(lines: Iterable[str], copy: IO[str]) -> Iterator[str]:
    for line in lines:
        copy.write(line)
        yield line


def _import_through_daemon(client: ControlClient, values: Iterable[StoredValue]) -> ImportResult:
    """Import values in batches through a running node.

    Raises:
        StorageError: the node failed; the message has the number of values before that.
    """
    result = ImportResult()
    try:
        _send_values(client, values, result)
    except KademluaError as error:
        raise StorageError(f"{error}; {describe_imported(result.imported)}") from None
    return result


def _send_values(
    client: ControlClient, values: Iterable[StoredValue], result: ImportResult
) -> None:
    batch: list[StoredValue] = []
    size = 0
    for value in values:
        if batch and size + len(value.encoded) > _BATCH_BYTES:
            _send_batch(client, batch, result)
            batch, size = [], 0
        batch.append(value)
        size += len(value.encoded) + _OVERHEAD_BYTES
    if batch:
        _send_batch(client, batch, result)


def _send_batch(client: ControlClient, batch: list[StoredValue], result: ImportResult) -> None:
    reply = client.call("import", values=[stored_value_to_json(held) for held in batch])
    result.imported += reply["imported"]
    result.expired += reply["expired"]
    for reason, count in reply["refused"].items():
        result.count_refused(reason, count)
