"""Bencoding: the only file that imports ``bencoder`` (the distribution bencoder.pyx).

The extension is fast but trusts its input. This module keeps dangerous input from it, and rejects
invalid input that it accepts.
"""

from __future__ import annotations

import re
from typing import Any

import bencoder

from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason

MAX_DEPTH = 64
"""Nesting of lists and dictionaries. The extension recurses on the C stack; about ten thousand
levels crash the process."""

_MAX_SPLIT_TOKENS = 4_096
"""Tokens of a partly readable value, beyond which it is refused: each takes a microsecond."""

Bencodable = int | bytes | str | list[Any] | tuple[Any, ...] | dict[Any, Any]

# One token: a length and its colon, an integer, an opening letter, an end.
_TOKEN = re.compile(rb"([0-9]{1,9}):|(i-?[0-9]+e)|([ld])|(e)")

# As a key, "-4:" moves the extension backwards; "d-4:" makes it recurse without end.
_NEGATIVE_LENGTH = re.compile(rb"-[0-9_]+\s*:")


def decode(data: bytes, outer_depth: int = 0) -> Any:
    """Decode one bencoded value: int, bytes, list, or dict with bytes as keys.

    Keys may be unsorted, as in the original, but not repeated.

    Raises:
        WireError: the data is anything else, or exceeds 64 levels inside ``outer_depth`` further
            ones.
    """
    max_depth = MAX_DEPTH - outer_depth
    # The number of opening letters is an upper bound of the depth. The data is scanned only above
    # the limit, or if it may contain a negative length.
    if data.count(b"l") + data.count(b"d") > max_depth or _NEGATIVE_LENGTH.search(data):
        _check_structure(data, max_depth)
    try:
        value = bencoder.bdecode(data)
        # Invalid input that the extension accepts gets shorter when it is encoded again: repeated
        # keys, "i 1e", "i1_0e", "1_0:".
        if len(bencoder.bencode(value)) == len(data):
            return value
    except (bencoder.BTFailure, ValueError, OverflowError):
        pass
    raise WireError(DropReason.NOT_BENCODED)


def decode_readable(data: bytes, levels: int, outer_depth: int = 0) -> Any:
    """Decode a value of which parts may be unreadable; these become None.

    The parts of ``levels`` levels of lists and dictionaries are decoded one by one, so that a
    value that the original encoded badly does not hide those next to it.

    Raises:
        WireError: the value itself is unreadable, or a key in it.
    """
    try:
        return decode(data, outer_depth)
    except WireError:
        if levels == 0 or data[:1] not in (b"l", b"d"):
            raise
    parts = _split(data)
    if data.startswith(b"l"):
        return [_decode_part(part, levels - 1, outer_depth + 1) for part in parts]
    keys = [decode(part) for part in parts[::2]]
    if len(parts) % 2 or any(type(key) is not bytes for key in keys) or len({*keys}) < len(keys):
        raise WireError(DropReason.NOT_BENCODED)
    values = [_decode_part(part, levels - 1, outer_depth + 1) for part in parts[1::2]]
    return dict(zip(keys, values, strict=True))


def _decode_part(data: bytes, levels: int, outer_depth: int) -> Any:
    try:
        return decode_readable(data, levels, outer_depth)
    except WireError:
        return None


def _split(data: bytes) -> list[bytes]:
    """Return the parts of an encoded list or dictionary; of a dictionary, keys and values."""
    parts: list[bytes] = []
    start = position = 1
    last, depth = len(data) - 1, 0
    for _ in range(_MAX_SPLIT_TOKENS):
        token = _TOKEN.match(data, position)
        if position >= last or token is None:
            break
        length, _number, opening, end = token.groups()
        position = token.end() + int(length or 0)
        depth += (opening is not None) - (end is not None)
        if depth < 0:
            break
        if depth == 0:
            parts.append(data[start:position])
            start = position
    if depth or position != last or data[last:] != b"e":
        raise WireError(DropReason.NOT_BENCODED)
    return parts


def _check_structure(data: bytes, max_depth: int) -> None:
    """Raise WireError if the data is nested too deeply, or is clearly not bencoded."""
    position = depth = 0
    while position < len(data):
        token = _TOKEN.match(data, position)
        if token is None:
            raise WireError(DropReason.NOT_BENCODED)
        position = token.end()
        length, _number, opening, end = token.groups()
        if length is not None:
            position += int(length)
        elif opening is not None:
            depth += 1
            if depth > max_depth:
                raise WireError(DropReason.NESTED_TOO_DEEPLY)
        elif end is not None:
            depth -= 1


def encode(value: Bencodable, outer_depth: int = 0) -> bytes:
    """Encode a value with sorted keys; ``str`` as UTF-8.

    Raises:
        TypeError: the value has no bencoded form (None, floats, booleans, other objects, mixed
            keys), or exceeds 64 levels inside ``outer_depth`` further ones.
    """
    encoded: bytes = bencoder.bencode(_normalize(value, outer_depth))
    return encoded


def _normalize(value: object, depth: int) -> object:
    """Return a value in the form that the extension encodes correctly.

    The extension measures text in characters, not bytes.
    """
    kind = type(value)
    if kind is bytes or kind is int:
        return value
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, (list, tuple, dict)):
        raise TypeError(f"bencoding has no form for {kind.__name__}")
    if depth == MAX_DEPTH:
        raise TypeError(f"nested deeper than {MAX_DEPTH}")
    depth += 1
    if not isinstance(value, dict):
        return [_normalize(item, depth) for item in value]
    kinds = {type(key) for key in value}
    if not (kinds <= {bytes} or kinds <= {str}):
        raise TypeError("the keys of a bencoded dictionary are all bytes or all text")
    return {_normalize(key, depth): _normalize(item, depth) for key, item in value.items()}
