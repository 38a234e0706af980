"""What the shell and the commands show: text for people, safe on their terminal."""

from __future__ import annotations

import os
import pprint
import shutil
from typing import Any


class VerbatimText(str):
    """Text that is shown as it stands, where a ``str`` is shown with its quotes."""

    __slots__ = ()


def escape_unprintable(text: str, allowed: str = "") -> str:
    """``text`` with whatever could steer a terminal made visible, but for those in ``allowed``.

    Much of what is shown was written by strangers.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in allowed else _escape(c) for c in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def to_one_line(text: str) -> str:
    """``text`` as one printable line."""
    return escape_unprintable(" ".join(text.split()))


def pretty_format(value: Any, width: int | None = None) -> str:
    """A value of the shell as text, over as many lines as it needs; ``width`` is that of the
    terminal, by default of this process's own."""
    if isinstance(value, VerbatimText):
        return value
    columns = width or shutil.get_terminal_size((100, 24)).columns
    return pprint.pformat(value, width=max(columns - 1, 40), sort_dicts=False)


def resident_kb() -> int:
    """Memory that this process holds, in kB; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except (OSError, ValueError):  # no Linux
        return 0
