"""The key of a private network: the tag that each of its datagrams bears, and the key's text.

``docs/protocol.md`` says it to the byte.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from hmac import compare_digest

KEY_BYTES = 32
MAC_BYTES = 16
MAX_KEYS = 4
"""A stranger's datagram costs a hash for each; to exchange a key takes two."""

_KEY_TEXT = re.compile(rb"([0-9a-fA-F]{%d})\r?\n?" % (2 * KEY_BYTES))
MAX_KEY_TEXT_BYTES = 2 * KEY_BYTES + 2
"""What the longest text of a key has."""


def format_key(key: bytes) -> bytes:
    """What a key's file contains: 64 hex digits and a newline."""
    return key.hex().encode() + b"\n"


def parse_key(text: bytes) -> bytes:
    """The key in a file's content; ValueError, which tells nothing of it, where there is none."""
    found = _KEY_TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"a network key is {2 * KEY_BYTES} hex digits in one line")
    return bytes.fromhex(found[1].decode())


class MacSigner:
    """Tags datagrams by the first of some keys, and knows the tags of all of them."""

    __slots__ = ("_other_keys", "new_mac")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """TypeError and ValueError for what is no key, and for none or too many."""
        for key in keys:
            if not isinstance(key, bytes):
                raise TypeError(f"a network key is {KEY_BYTES} bytes, not {type(key).__name__}")
            if len(key) != KEY_BYTES:
                raise ValueError(f"a network key has {KEY_BYTES} bytes, not {len(key)}")
        distinct = list(dict.fromkeys(keys))
        if not 0 < len(distinct) <= MAX_KEYS:
            raise ValueError(f"a node has 1 to {MAX_KEYS} network keys, not {len(distinct)}")
        # A copy of a hash that has its key costs 0.2 µs less than a new one.
        hashes = [hashlib.blake2b(key=key, digest_size=MAC_BYTES) for key in distinct]
        self.new_mac = hashes[0].copy
        """A hash that has the first key: what is to be tagged goes in, and the tag comes out."""
        self._other_keys = hashes[1:]

    def append_mac(self, body: bytes) -> bytes:
        """A datagram's bytes with their tag behind them."""
        mac = self.new_mac()
        mac.update(body)
        return body + mac.digest()

    def is_by_other_key(self, body: bytes, mac: bytes) -> bool:
        """Whether a tag is by a key other than the first."""
        for other_key in self._other_keys:
            expected = other_key.copy()
            expected.update(body)
            if compare_digest(expected.digest(), mac):
                return True
        return False
