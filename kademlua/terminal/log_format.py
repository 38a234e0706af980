"""LineFormatter: log records as lines of text."""

from __future__ import annotations

import logging
from typing import Any

from kademlua.core.text import escape_unprintable


class LineFormatter(logging.Formatter):
    """Formats a record as text, with unprintable characters of its message escaped.

    So a peer's text can neither begin a line of its own nor control a terminal. A traceback keeps
    its lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """Return the line without the traceback."""
        return escape_unprintable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """Return the traceback."""
        return escape_unprintable(super().formatException(ei), allowed="\n\t")
