"""Progress on the terminal, for commands that read or write much."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click


@contextmanager
def open_source(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading; ``-`` is standard input."""
    if str(path) == "-":
        yield sys.stdin.buffer
    else:
        with path.open("rb") as file:
            yield file


def size_of(file: BinaryIO) -> int:
    """Return the bytes of a file, 0 for a pipe."""
    return os.fstat(file.fileno()).st_size


@contextmanager
def progress(label: str, size: int) -> Iterator[Callable[[int], None]]:
    """Show progress on a terminal; the function that it returns takes the bytes so far."""
    if not sys.stderr.isatty() or not size:
        yield lambda done: None
        return
    click.echo("\r\x1b[K", err=True, nl=False)  # the line may show what the client waits for
    with click.progressbar(length=size, label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)
