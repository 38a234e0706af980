"""Text from peers, made safe to show."""

from __future__ import annotations


def escape_unprintable(text: str, allowed: str = "") -> str:
    """Escape all unprintable characters except ``allowed``: peers wrote much of the text."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in allowed else _escape(c) for c in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
