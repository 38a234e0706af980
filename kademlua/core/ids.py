"""160-bit ids and their distances.

An id is sent as 20 bytes, most significant byte first. Arithmetic uses the same number as an int
(Maymounkov and Mazières 2002, section 2.1).
"""

from __future__ import annotations

import hashlib
import random
from typing import Final

ID_BYTES: Final = 20
ID_BITS: Final = 160
_SHA1: Final = hashlib.sha1(usedforsecurity=False)
"""To copy it takes half as long as to make another one."""
_from_bytes: Final = int.from_bytes
"""To find the method takes as long as to run it; its byte order is "big"."""
_PREFIX_SHIFT: Final = ID_BITS - 60
"""60 bits are two digits of a Python int, and one machine word in a compiled build."""


def sha1(text: str | bytes) -> bytes:
    """Return the id of a text key: the SHA-1 of its bytes (UTF-8 for ``str``), 20 bytes."""
    raw = text.encode() if isinstance(text, str) else text
    digest = _SHA1.copy()
    digest.update(raw)
    return digest.digest()


def random_id(rng: random.Random) -> bytes:
    """Return a uniformly distributed id."""
    return rng.randbytes(ID_BYTES)


def is_id(value: object) -> bool:
    """Return whether ``value`` is ``bytes`` of an id's length."""
    return type(value) is bytes and len(value) == ID_BYTES


def to_int(node_id: bytes) -> int:
    """Return an id as an integer."""
    return _from_bytes(node_id)


def prefix_of(id_int: int) -> int:
    """Return the first 60 bits of an id or a distance. It orders distances as they do, but for
    those that differ only in the other bits."""
    return id_int >> _PREFIX_SHIFT


def from_int(id_int: int) -> bytes:
    """Return the id of an integer; OverflowError if it has more than 160 bits."""
    return id_int.to_bytes(ID_BYTES, "big")


def xor(a: bytes, b: bytes) -> bytes:
    """Return the distance of two ids as 20 bytes."""
    return from_int(to_int(a) ^ to_int(b))


def distance(a: bytes, b: bytes) -> int:
    """Return the distance of two ids as an integer, 0 to 2**160 - 1."""
    return to_int(a) ^ to_int(b)


def bucket_number(a: bytes, b: bytes) -> int:
    """Return the position of the highest bit in which two ids differ: 159 is far, 0 is nearest.

    Return -1 for equal ids. The original calls this ``getbucketno``.
    """
    return distance(a, b).bit_length() - 1


def random_in_bucket(node_id: bytes, bucket: int, rng: random.Random) -> bytes:
    """Return a random id whose ``bucket_number`` to ``node_id`` is ``bucket`` (0 to 159)."""
    offset = 1 << bucket | rng.getrandbits(bucket) if bucket else 1
    return from_int(to_int(node_id) ^ offset)


def from_hex(text: str) -> bytes:
    """Return the id of 40 hex digits; ValueError, in one line, for anything else."""
    if len(text) != 2 * ID_BYTES or not all(digit in "0123456789abcdefABCDEF" for digit in text):
        raise ValueError(f"an id is 40 hex digits, not {text[:60]!r}")
    return bytes.fromhex(text)
