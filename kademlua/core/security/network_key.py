"""The key of a private network, and the text of its file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

KEY_BYTES: Final = 32
MAX_KEYS: Final = 4
"""Keys of one node. A foreign datagram costs one decryption for each; a key exchange needs two."""

_KEY_TEXT: Final = re.compile(rb"([0-9a-fA-F]{%d})\r?\n?" % (2 * KEY_BYTES))
MAX_KEY_TEXT_BYTES: Final = 2 * KEY_BYTES + 2
"""Size of a key's text."""


def format_key(key: bytes) -> bytes:
    """Return the content of a key file: 64 hex digits and a newline."""
    return key.hex().encode() + b"\n"


def parse_key(text: bytes) -> bytes:
    """Return the key in the content of a file; ValueError, without the text, for others."""
    found = _KEY_TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"a network key is {2 * KEY_BYTES} hex digits in one line")
    return bytes.fromhex(found[1].decode())


def require_network_keys(keys: Sequence[Any]) -> list[bytes]:
    """Return the distinct network keys of a node, in order.

    Raises:
        TypeError: A key is not bytes.
        ValueError: A key does not have 32 bytes, or there are none or more than ``MAX_KEYS``.
    """
    for key in keys:
        if not isinstance(key, bytes):
            raise TypeError(f"a network key is {KEY_BYTES} bytes, not {type(key).__name__}")
        if len(key) != KEY_BYTES:
            raise ValueError(f"a network key has {KEY_BYTES} bytes, not {len(key)}")
    distinct = list(dict.fromkeys(keys))
    if not 0 < len(distinct) <= MAX_KEYS:
        raise ValueError(f"a node has 1 to {MAX_KEYS} network keys, not {len(distinct)}")
    return distinct
