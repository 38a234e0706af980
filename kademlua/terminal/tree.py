"""A tree as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def render_tree(
    roots: Sequence[_T],
    children: Callable[[_T], Sequence[_T]],
    label: Callable[[_T], str],
    indent: str = "",
) -> Iterator[str]:
    """Yield a line for each root and, indented below it, for each of its ``children``.

    ``children`` is called once per item; ``label`` returns its text.
    """
    for position, node in enumerate(roots, 1):
        is_last = position == len(roots)
        yield f"{indent}{'└─' if is_last else '├─'} {label(node)}"
        yield from render_tree(
            children(node), children, label, indent + ("   " if is_last else "│  ")
        )
