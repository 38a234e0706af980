"""Bencoding: the only file that imports ``bencoder`` (the distribution bencoder.pyx).

The extension is fast but trusts its input. It decodes only short data without what is dangerous to
it. All other data is decoded here, with the same results and a limited number of tokens, so that no
datagram costs much time.
"""

from __future__ import annotations

import re
from typing import Any, Final

import bencoder

from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason

MAX_DEPTH: Final = 64
"""Nesting of lists and dictionaries. The extension recurses on the C stack; about ten thousand
levels crash the process."""
MAX_DIGITS: Final = 300
"""Digits of an integer: the time to convert one grows with the square of its length."""
MAX_VALUE_TOKENS: Final = 480
"""Tokens of a value, so that there is room around it in a request."""
SHORT_BYTES: Final = 1_200
"""Data of at most this size takes little time and has no limit of tokens. So a page of values is
readable, whatever the values are."""

_TOO_LARGE: Final[int] = 10**MAX_DIGITS

# One token: the length of a byte string, an integer of up to 19 digits or more, the start of a list
# or dictionary, a length or integer in an invalid form, or (no group) the end of a list or
# dictionary.
_TOKEN: Final = re.compile(
    rb"(0|[1-9][0-9]{0,8}):|i(0|-?[1-9][0-9]{0,18}+)e|(l)|(d)"
    rb"|i(-?[1-9][0-9]{19,%d}+)e|([0-9]{1,9}):|(i-?[0-9]++)e|e" % (MAX_DIGITS - 1)
)
_LENGTH, _INTEGER, _LIST, _DICT, _LONG_INTEGER, _INVALID_LENGTH, _INVALID_INTEGER = range(1, 8)
_DICT_MARK: Final = object()
"""The first item of a dictionary that is being decoded."""

# As a key, "-4:" moves the extension backwards; "d-4:" makes it recurse without end.
_NEGATIVE_LENGTH: Final = re.compile(rb"-[0-9_]+\s*:")


def decode(data: bytes, outer_depth: int = 0, max_tokens: int | None = None) -> Any:
    """Decode one bencoded value: int, bytes, list, or dict with bytes as keys.

    Keys may be unsorted, as in the original, but not repeated. A byte string is one token, an
    integer one or (over 19 digits) two, a list two, a dictionary three.

    Raises:
        WireError: the data is anything else, or exceeds 64 levels inside ``outer_depth`` further
            ones, or ``max_tokens`` (default: no limit) if it has more than 1,200 bytes.
    """
    max_depth = MAX_DEPTH - outer_depth
    if not _is_safe(data, max_depth):
        return _decode_tokens(data, max_depth, max_tokens)
    value = _decode_safe(data)
    if value is None:
        raise WireError(DropReason.NOT_BENCODED)
    return value


def decode_readable(data: bytes, levels: int, max_tokens: int | None = None) -> Any:
    """Decode a value of which parts may be unreadable; these become None.

    The parts of ``levels`` levels of lists and dictionaries are judged one by one, so that a
    value that the original encoded badly does not hide those next to it.

    Raises:
        WireError: the value itself is unreadable, or a key in it, or it has too many tokens.
    """
    value = _decode_safe(data) if _is_safe(data, MAX_DEPTH) else None
    return value if value is not None else _decode_tokens(data, MAX_DEPTH, max_tokens, levels)


def _is_safe(data: bytes, max_depth: int) -> bool:
    """Return whether the extension may decode the data.

    The number of opening letters is an upper bound of the depth. An integer in so few bytes has
    not too many digits.
    """
    return (
        len(data) <= MAX_DIGITS
        and data.count(b"l") + data.count(b"d") <= max_depth
        and not _NEGATIVE_LENGTH.search(data)
    )


def _decode_safe(data: bytes) -> Any:
    """Return the value in data that is safe for the extension; None if it is invalid."""
    try:
        value = bencoder.bdecode(data)
        # Invalid input that the extension accepts gets shorter when it is encoded again: repeated
        # keys, "i 1e", "i1_0e", "1_0:".
        return value if len(bencoder.bencode(value)) == len(data) else None
    except (bencoder.BTFailure, ValueError, OverflowError):
        return None


def _decode_tokens(data: bytes, max_depth: int, max_tokens: int | None, levels: int = 0) -> Any:
    """Decode any data, one token after the other; for ``levels`` see ``decode_readable``.

    No value is None, which marks an unreadable one. It makes the list or dictionary around it
    unreadable, unless that is one of the outer ``levels``.
    """
    items: list[Any] = []
    outer: list[list[Any]] = []
    unreadable: set[int] = set()
    """The depths of open lists and dictionaries that are unreadable."""
    position, match = 0, _TOKEN.match
    if max_tokens is None or len(data) <= SHORT_BYTES:
        max_tokens = 2 * len(data)  # more than there can be
    tokens = iter(range(max_tokens + 1))
    for _ in tokens:
        token = match(data, position)
        if token is None:  # the end, or none
            break
        position = token.end()
        kind = token.lastindex
        item: Any = None
        if kind == _LENGTH:
            start = position
            position += int(token[_LENGTH])
            item = data[start:position]
        elif kind is None:
            if not outer:
                raise WireError(DropReason.NOT_BENCODED)
            item = items
            if items and items[0] is _DICT_MARK:
                item = _make_dict(items) if len(items) > 1 else {}
                next(tokens, None)
            if unreadable and len(outer) in unreadable:
                unreadable.remove(len(outer))
                item = None
            items = outer.pop()
        elif kind == _INTEGER:
            item = int(token[_INTEGER])
        elif kind == _LIST or kind == _DICT:
            outer.append(items)
            items = [_DICT_MARK] if kind == _DICT else []
            if len(outer) > max_depth:
                if not levels:
                    raise WireError(DropReason.NESTED_TOO_DEEPLY)
                unreadable.add(len(outer))
            continue
        elif kind == _LONG_INTEGER:
            item = int(token[_LONG_INTEGER])
            next(tokens, None)
        elif kind == _INVALID_LENGTH:
            position += int(token[_INVALID_LENGTH])
        if item is None and len(outer) > levels:
            unreadable.add(len(outer))
        items.append(item)
    else:
        raise WireError(DropReason.TOO_MANY_TOKENS)
    if position != len(data) or outer or len(items) != 1 or items[0] is None:
        raise WireError(DropReason.NOT_BENCODED)
    return items[0]


def _make_dict(items: list[Any]) -> dict[bytes, Any] | None:
    """Return the dictionary of keys and values after the mark; None if there is none."""
    if len(items) == 3:  # faster than below
        _, key, value = items
        return {key: value} if type(key) is bytes else None
    keys = items[1::2]
    try:
        b"".join(keys)  # the fastest check that all are bytes
        found = dict(zip(keys, items[2::2], strict=True))
    except (TypeError, ValueError):
        return None
    return found if len(found) == len(keys) else None


def measure(encoded: bytes) -> tuple[int, int]:
    """Return the tokens of a bencoded value, and the levels of its lists and dictionaries."""
    count = position = level = levels = 0
    while token := _TOKEN.match(encoded, position):
        position = token.end() + int(token[_LENGTH] or 0)
        kind = token.lastindex
        count += 2 if kind in (_DICT, _LONG_INTEGER) else 1
        if kind in (_LIST, _DICT):
            level += 1
            levels = max(levels, level)
        elif kind is None:
            level -= 1
    return count, levels


def check_tokens(encoded: bytes) -> None:
    """Raise ValueError if peers could refuse to decode a packet with these encoded values."""
    count, _ = measure(encoded)
    if count > MAX_VALUE_TOKENS:
        raise ValueError(
            f"a value has at most {MAX_VALUE_TOKENS} tokens (integers, byte strings, and the starts"
            f" and ends of lists and dictionaries), not {count:,}; pass it as one byte string"
        )


def encode(value: object, outer_depth: int = 0) -> bytes:
    """Encode a value with sorted keys; ``str`` as UTF-8.

    Raises:
        TypeError: the value has no bencoded form (None, floats, booleans, other objects, mixed
            keys, integers of more than 300 digits), or exceeds 64 levels inside ``outer_depth``
            further ones.
    """
    encoded: bytes = bencoder.bencode(_normalize(value, outer_depth))
    return encoded


def _normalize(value: object, depth: int) -> object:
    """Return a value in the form that the extension encodes correctly.

    The extension measures text in characters, not bytes.
    """
    kind = type(value)
    if kind is bytes:
        return value
    if kind is int and isinstance(value, int):
        if not -_TOO_LARGE < value < _TOO_LARGE:
            raise TypeError(f"an integer has at most {MAX_DIGITS} digits")
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
