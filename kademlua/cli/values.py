"""What is stored in the network, as text. Strangers wrote it."""

from __future__ import annotations

import json
from typing import Any

from kademlua.jsonform import bytes_text, value_json
from kademlua.shell.text import printable


def value_text(value: Any) -> str:
    """A value for people: UTF-8 as the text that it is, other bytes as 0x and hex digits,
    the rest as JSON."""
    if isinstance(value, bytes):
        return printable(bytes_text(value), keep="\n\t")
    return json.dumps(value_json(value))
