"""Output through rich: styled on a terminal, plain text elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import TypeVar

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from kademlua.core.printable import escape_unprintable

_T = TypeVar("_T")

_UNLIMITED_WIDTH = 10_000
"""Columns of output that is not a terminal, so that no line is wrapped."""


def make_console() -> Console:
    """Return a console that prints text as it is, without markup, to standard output.

    It writes control sequences to terminals only, unless TERM is dumb, and styles unless NO_COLOR
    is set.
    """
    is_terminal = sys.stdout.isatty()
    return Console(
        force_terminal=is_terminal,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if is_terminal else _UNLIMITED_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
    )


def safe_text(text: str, style: str = "") -> Text:
    """Return text with escaped control characters, for rich."""
    return Text(escape_unprintable(text), style)


def print_tree(
    title: str,
    roots: Iterable[_T],
    children: Callable[[_T], Iterable[_T]],
    label: Callable[[_T], str],
) -> None:
    """Print a title, with a line for each root, and those of its ``children`` below it.

    ``children`` is called once per item; ``label`` returns its text.
    """

    def add(parent: Tree, items: Iterable[_T]) -> None:
        for item in items:
            add(parent.add(safe_text(label(item))), children(item))

    tree = Tree(safe_text(title))
    add(tree, roots)
    make_console().print(tree)
