"""The key of a private network: the MAC of its datagrams, and the text of its file.

See ``docs/protocol-private.md`` for the bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from hmac import compare_digest
from typing import Any, Final

KEY_BYTES: Final = 32
MAC_BYTES: Final = 16
MAX_KEYS: Final = 4
"""Keys of one node. A foreign datagram costs one hash for each; a key rotation needs two."""

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


class MacSigner:
    """Signs datagrams with the first of some keys, and verifies MACs of all of them."""

    __slots__ = ("_other_keys", "new_mac")

    def __init__(self, keys: Sequence[Any]) -> None:
        """Prepare the keys; TypeError or ValueError for an invalid key, for none or too many."""
        for key in keys:
            if not isinstance(key, bytes):
                raise TypeError(f"a network key is {KEY_BYTES} bytes, not {type(key).__name__}")
            if len(key) != KEY_BYTES:
                raise ValueError(f"a network key has {KEY_BYTES} bytes, not {len(key)}")
        distinct = list(dict.fromkeys(keys))
        if not 0 < len(distinct) <= MAX_KEYS:
            raise ValueError(f"a node has 1 to {MAX_KEYS} network keys, not {len(distinct)}")
        # Copying a keyed hash is cheaper than creating one.
        hashes = [hashlib.blake2b(key=key, digest_size=MAC_BYTES) for key in distinct]
        self.new_mac = hashes[0].copy
        """Returns a keyed hash of the first key, to be updated with the datagram."""
        self._other_keys = hashes[1:]

    def append_mac(self, body: bytes) -> bytes:
        """Return a datagram followed by its MAC."""
        mac = self.new_mac()
        mac.update(body)
        return body + mac.digest()

    def is_by_other_key(self, body: bytes, mac: bytes) -> bool:
        """Return whether a MAC is valid for a key other than the first."""
        for other_key in self._other_keys:
            expected = other_key.copy()
            expected.update(body)
            if compare_digest(expected.digest(), mac):
                return True
        return False
