"""Escaping of text from peers, wherever it is shown or logged."""

from __future__ import annotations


def escape_unprintable(text: str, allowed: str = "") -> str:
    """Escape all unprintable characters except ``allowed``.

    These are control characters, which move a terminal's cursor and more, and those that change
    the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in allowed else _escape(c) for c in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
