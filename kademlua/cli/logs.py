"""The log of a node that runs from the command line."""

from __future__ import annotations

import logging
import logging.handlers
from collections.abc import Callable
from pathlib import Path

import click

LEVELS = ["debug", "info", "warning", "error", "critical"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LineHandler(logging.Handler):
    """Hands each record, as text, to a function that shows it."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self.show = show
        """May be put in another's place at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        try:
            self.show(self.format(record))
        except Exception:
            self.handleError(record)


def start_log(level: str, file: Path | None) -> LineHandler | None:
    """Log to a file, or else to the standard error output by the handler returned.

    A file that is moved away (by logrotate, say) is opened anew. click.ClickException where
    it can't be opened.
    """
    handler: logging.Handler
    lines = None
    if file is None:
        handler = lines = LineHandler(_to_stderr)
    else:
        try:
            handler = logging.handlers.WatchedFileHandler(file, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"can't write {file}: {error.strerror}") from None
    handler.setFormatter(logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return lines


def _to_stderr(text: str) -> None:
    click.echo(text, err=True)
