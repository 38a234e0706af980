"""Log lines: no text of a peer begins a line of its own or controls a terminal."""

from __future__ import annotations

import logging
import sys

from kademlua.terminal.log_format import LineFormatter


def line_of(message: str, error: BaseException | None = None) -> str:
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("name", logging.INFO, "", 0, "refused: %s", (message,), info)
    return LineFormatter("%(levelname)s %(message)s").format(record)


def test_control_characters_are_escaped() -> None:
    assert line_of("full\n2026 ERROR forged\x1b[2J") == (
        "INFO refused: full\\n2026 ERROR forged\\x1b[2J"
    )
    assert line_of("keine Größe") == "INFO refused: keine Größe"


def test_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("of a peer: \x1b[2J")
    except ValueError:
        text = line_of("x", sys.exception())
    assert "\nTraceback" in text
    assert "\x1b" not in text
