"""The shell's functions of ids, keys and distances, in the forms of the original."""

from __future__ import annotations

from typing import Any

from kademlua.core import ids
from kademlua.core.contact import Contact

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")


def to_key(key: Any) -> Any:
    """Return the id of a key as typed.

    Text is hashed, unless it has 40 hex digits: those are an id. A contact stands for its id. Other
    objects are returned as they are; the node checks them.

    Raises:
        ValueError: the text is empty.
    """
    if isinstance(key, Contact):
        return key.id
    if not isinstance(key, str):
        return key
    if not key:
        raise ValueError("a key must not be empty")
    return ids.from_hex(key) if _is_hex_id(key) else ids.sha1(key)


def sha1(text: bytes | str) -> bytes:
    """Return the id of a text."""
    return ids.sha1(_to_bytes(text))


def xor(a: bytes | str, b: bytes | str) -> bytes:
    """Return the bitwise XOR of two strings of one length.

    Raises:
        ValueError: their lengths differ.
    """
    first, second = _to_bytes(a), _to_bytes(b)
    if len(first) != len(second):
        raise ValueError(f"xor needs two strings of one length, not {len(first)} and {len(second)}")
    return bytes(x ^ y for x, y in zip(first, second, strict=True))


def to_hex(value: bytes | str) -> str:
    """Return the hex digits of bytes or text."""
    return _to_bytes(value).hex()


def from_hex(digits: str) -> bytes:
    """Return the bytes of an even number of hex digits.

    Raises:
        TypeError, ValueError: it is something else.
    """
    if not isinstance(digits, str):
        raise TypeError(f"fromhex needs text, not {digits!r:.60}")
    if len(digits) % 2 or not _HEX_DIGITS.issuperset(digits):
        raise ValueError(f"fromhex needs an even number of hex digits, not {digits[:60]!r}")
    return bytes.fromhex(digits)


def bucket_of(distance: bytes | str, other: Any = None) -> int:
    """Return the bucket of a distance, or of the distance of two ids, as the original counts: 1 is
    the farthest, 160 the nearest, and 161 the id itself.

    Raises:
        TypeError, ValueError: it is no distance, or the ids are invalid.
    """
    if other is None:
        value = _to_bytes(distance)
        if isinstance(distance, str) and _is_hex_id(distance):
            value = ids.from_hex(distance)
    else:
        value = xor(to_key(distance), to_key(other))
    if len(value) != ids.ID_BYTES:
        raise ValueError(f"a distance has {ids.ID_BYTES} bytes, not {len(value)}")
    return ids.ID_BITS - ids.to_int(value).bit_length() + 1


def distance_text(a: bytes, b: bytes) -> str:
    """Return the first digits of the distance of two ids, enough to compare it with others."""
    return ids.xor(a, b).hex()[:8] + "…"


def _is_hex_id(text: str) -> bool:
    return len(text) == 2 * ids.ID_BYTES and _HEX_DIGITS.issuperset(text)


def _to_bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise TypeError(f"expected bytes or text, not {value!r:.60}")
    return value
