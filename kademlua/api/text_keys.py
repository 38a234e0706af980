"""The texts of keys, as far as callers named them: the network knows only their SHA-1."""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.ids import sha1

MAX_TEXTS: Final = 4_096
MAX_TEXT_CHARACTERS: Final = 1_024
"""Longer texts are not remembered."""


class TextKeys:
    """The texts that were hashed for recent keys; the oldest are forgotten."""

    def __init__(self) -> None:
        self._text_by_key: dict[str, str] = {}

    def learn(self, text: str) -> None:
        """Remember the text of a key."""
        if len(text) > MAX_TEXT_CHARACTERS:
            return
        key = sha1(text).hex()
        self._text_by_key.pop(key, None)
        self._text_by_key[key] = text
        if len(self._text_by_key) > MAX_TEXTS:
            del self._text_by_key[next(iter(self._text_by_key))]

    def name(self, row: Any) -> dict[str, Any]:
        """Return a row with the text of its ``key`` as ``text`` if that is known."""
        text = self._text_by_key.get(row.get("key", ""))
        return dict(row) if text is None else {**row, "text": text}
