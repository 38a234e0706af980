"""The argument VALUE: text, the bytes of a file, or standard input, each up to a limit."""

from __future__ import annotations

import functools
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import click

from kademlua.cli.options import FILE
from kademlua.core.params import Params

_R = TypeVar("_R")

_MAX_READ_BYTES = int(Params.__dataclass_fields__["max_value_bytes"].metadata["high"])
"""Bytes that are read: no node accepts a larger value."""
_USUAL_LIMIT = f"a value has at most {Params().max_value_bytes:,} bytes, bencoded"


def value_argument(function: Callable[..., _R]) -> Callable[..., _R]:
    """Add the argument ``VALUE`` and the option ``--file``; the command receives ``value``, bytes.

    Nothing connects to a node before the value was read.
    """

    @click.argument("value", required=False)
    @click.option("--file", type=FILE, metavar="FILE", help="Take the value from FILE.")
    @functools.wraps(function)
    def command(*, value: str | None, file: Path | None, **options: object) -> _R:
        if options.get("source") is not None:  # the values are in the file of --from
            if value is not None or file is not None:
                raise click.UsageError("--from excludes KEY, VALUE and --file.")
            return function(value=b"", **options)
        if value is None and file is None:
            raise click.UsageError("Missing argument 'VALUE'.")
        if value is not None and file is not None:
            raise click.UsageError("VALUE and --file exclude each other.")
        return function(value=_read_value(value, file), **options)

    return command


def _read_value(text: str | None, path: Path | None) -> bytes:
    if path is not None:
        with path.open("rb") as file:
            return _read_limited(file, str(path))
    if text == "-":
        return _read_limited(sys.stdin.buffer, "standard input")
    return os.fsencode(text or "")


def _read_limited(file: BinaryIO, name: str) -> bytes:
    """Read a file to its end, or to the limit.

    Raises:
        click.ClickException: it is larger than the limit.
    """
    data = file.read(_MAX_READ_BYTES + 1)
    if len(data) > _MAX_READ_BYTES:
        status = os.fstat(file.fileno())
        is_regular = stat.S_ISREG(status.st_mode)
        size = f"{status.st_size:,}" if is_regular else f"more than {_MAX_READ_BYTES:,}"
        raise click.ClickException(f"{name} has {size} bytes; {_USUAL_LIMIT}")
    return data
