"""SafeLogger: a logger for greenlets that must not end because a log cannot be written."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose methods never raise.

    Handlers of the program may: those of the standard library do when the directory of their
    file was removed. The record is then lost.
    """

    def __init__(self, logger: logging.Logger, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(logger, extra)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message if the level is enabled; see ``logging.Logger.log``."""
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1
        try:
            super().log(level, msg, *args, **kwargs)
        except Exception:  # there is no log in which to report it
            pass
