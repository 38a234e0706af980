"""Logging of a node started from the command line."""

from __future__ import annotations

import json
import logging
import logging.handlers
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

LEVELS = ["debug", "info", "warning", "error", "critical"]

FORMATS = ["text", "json"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FORMAT_WITH_NODE = "%(asctime)s %(levelname)s %(short)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``,
    ``node`` if known, and ``error`` with the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a newline."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        node = getattr(record, "node", None)
        if isinstance(node, bytes):
            fields["node"] = node.hex()
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


class CallbackHandler(logging.Handler):
    """Passes each formatted record to a function."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self.show = show
        """The function; replaceable at any time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        try:
            self.show(self.format(record))
        except Exception:
            self.handleError(record)


def configure_logging(level: str, file: Path | None, log_format: str = "text") -> logging.Handler:
    """Log to a file, or to standard error if ``file`` is None; return the handler.

    A file that was moved, as by logrotate, is opened again. ``log_format`` is one of ``FORMATS``.

    Raises:
        click.ClickException: the file cannot be opened.
    """
    handler: logging.Handler
    if file is None:
        handler = CallbackHandler(partial(click.echo, err=True))
    else:
        try:
            handler = logging.handlers.WatchedFileHandler(file, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"can't write {file}: {error.strerror}") from None
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return handler


def add_node_id(handler: logging.Handler, node_id: bytes) -> None:
    """Add the id of the process's only node to each line of a log."""

    def add(record: logging.LogRecord) -> bool:
        record.node, record.short = node_id, node_id.hex()[:8]
        return True

    handler.addFilter(add)
    if not isinstance(handler.formatter, JsonFormatter):
        handler.setFormatter(logging.Formatter(_FORMAT_WITH_NODE))
