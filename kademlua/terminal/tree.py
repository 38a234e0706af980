"""A tree as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def branches(
    roots: Sequence[_T],
    below: Callable[[_T], Sequence[_T]],
    said: Callable[[_T], str],
    indent: str = "",
) -> Iterator[str]:
    """A line for each of ``roots`` and, indented under it, for each of those ``below`` it, which
    is asked once. ``said`` is what stands there of one."""
    for place, each in enumerate(roots, 1):
        is_last = place == len(roots)
        yield f"{indent}{'└─' if is_last else '├─'} {said(each)}"
        yield from branches(below(each), below, said, indent + ("   " if is_last else "│  "))
