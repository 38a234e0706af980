"""Durations as text, such as 90s, 10m or 1h."""

from __future__ import annotations

import math
import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")


MAX_SECONDS: Final = 366 * 86_400.0


def parse_duration(value: object) -> float:
    """Return the seconds of a number, or of text such as ``100ms``, ``1.5s``, ``10m``, ``1h``.

    ValueError with the rest of a sentence ("must be …") for anything else.
    """
    seconds: float | None = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is not None:
            seconds = float(match[1]) * _UNITS[match[2]]
    if seconds is None or math.isnan(seconds):
        raise ValueError(f'must be seconds, or text like "100ms", "10m", "1h", not {value!r:.60}')
    if not 0 <= seconds <= MAX_SECONDS:
        raise ValueError(f"must be 0 to 366d, not {value!r:.60}")
    return seconds


def readable_duration(seconds: float) -> str:
    """Return a duration for people in at most two units, such as ``23h 59m`` or ``12s``."""
    total = max(0, round(seconds))
    for unit, smaller in (("d", "h"), ("h", "m"), ("m", "s")):
        size, rest_size = int(_UNITS[unit]), int(_UNITS[smaller])
        if total >= size:
            rest = total % size // rest_size
            return f"{total // size}{unit} {rest}{smaller}" if rest else f"{total // size}{unit}"
    return f"{total}s"


def format_duration(seconds: float) -> str:
    """Return the shortest text that ``parse_duration`` reads as the same duration."""
    for unit in ("d", "h", "m", "s", "ms"):
        count = seconds / _UNITS[unit]
        if count >= 1 and count == round(count):
            return f"{round(count)}{unit}"
    return f"{seconds:g}s"
