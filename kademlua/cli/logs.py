"""Logging of a node started from the command line."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType

import click
import gevent

from kademlua.runtime.safe_logger import SafeLogger
from kademlua.terminal.log_format import LineFormatter

logger = SafeLogger(logging.getLogger(__name__))

LEVELS = ["packets", "debug", "info", "warning", "error", "critical"]

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
        return json.dumps(fields)


class LogFileHandler(logging.handlers.WatchedFileHandler):
    """Opens its file again after a rename, as by logrotate.

    A record that cannot be written to the file goes to standard error. The next one tries to
    open the file again.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raise, unlike the base class without the file's directory."""
        try:
            super().emit(record)
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Write a record to standard error, with the reason."""
        try:
            text = f"{self.format(record)} (not in {self.baseFilename}: {sys.exception()})"
            click.echo(text, err=True)
        except Exception:  # standard error is closed, too
            pass


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
            handler = LogFileHandler(file, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"can't write {file}: {error.strerror}") from None
    handler.setFormatter(JsonFormatter() if log_format == "json" else LineFormatter(_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    return handler


def add_node_id(handler: logging.Handler, node_id: bytes) -> None:
    """Add the id of the process's only node to each line of a log."""

    def add(record: logging.LogRecord) -> bool:
        record.node, record.short = node_id, node_id.hex()[:8]
        return True

    handler.addFilter(add)
    if not isinstance(handler.formatter, JsonFormatter):
        handler.setFormatter(LineFormatter(_FORMAT_WITH_NODE))


def log_unhandled_errors() -> None:
    """Log the tracebacks that gevent and Python would print: of greenlets, callbacks and
    threads."""
    hub = gevent.get_hub()
    hub.print_exception = _log_hub_error  # type: ignore[assignment]  # a method
    threading.excepthook = _log_thread_error
    sys.unraisablehook = _log_unraisable_error


def _log_hub_error(
    context: object,
    kind: type[BaseException] | None,
    error: BaseException | str | None,
    trace: TracebackType | None,
) -> None:
    logger.error("unhandled error in %s", context, exc_info=_exc_info(kind, error, trace))


def _log_thread_error(failure: threading.ExceptHookArgs) -> None:
    info = _exc_info(failure.exc_type, failure.exc_value, failure.exc_traceback)
    logger.error("unhandled error in %s", failure.thread, exc_info=info)


def _log_unraisable_error(failure: sys.UnraisableHookArgs) -> None:
    info = _exc_info(failure.exc_type, failure.exc_value, failure.exc_traceback)
    logger.error("%s %r", failure.err_msg or "unhandled error in", failure.object, exc_info=info)


def _exc_info(
    kind: type[BaseException] | None,
    error: BaseException | str | None,
    trace: TracebackType | None,
) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    if kind is None:
        return None
    return kind, error if isinstance(error, BaseException) else kind(error), trace
