"""Text for people, safe to show on a terminal."""

from __future__ import annotations

import os
import pprint
import shutil
from typing import Any

from kademlua.core.printable import escape_unprintable


class VerbatimText(str):
    """Text that the shell shows without quotes."""

    __slots__ = ()


def to_one_line(text: str) -> str:
    """Return text as one printable line."""
    return escape_unprintable(" ".join(text.split()))


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return ``1 node`` or ``1,234 nodes``; ``nouns`` is the plural if it is not ``noun`` and s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def pretty_format(value: Any, width: int | None = None) -> str:
    """Format a value over as many lines as it needs.

    ``width`` is the terminal's, default that of this process.
    """
    if isinstance(value, VerbatimText):
        return value
    columns = width or shutil.get_terminal_size((100, 24)).columns
    return pprint.pformat(value, width=max(columns - 1, 40), sort_dicts=False)


def resident_kb() -> int:
    """Return the resident memory of this process in kB; 0 if it is unknown."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except (OSError, ValueError):  # no Linux
        return 0
