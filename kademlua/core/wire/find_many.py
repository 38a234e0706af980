"""The arguments and the reply of findmany (1.1): the values of several keys in one reply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kademlua.core.errors import BadArguments, WireError
from kademlua.core.ids import ID_BYTES
from kademlua.core.reasons import DropReason

MAX_KEYS: Final = 32
"""Keys in one request."""
OVERHEAD_BYTES: Final = 32
"""Bytes of a reply besides what its keys need, at most."""
KEY_BYTES: Final = 6
"""Bytes of a reply for each key besides its values, at most."""


def encode_args(token_key: bytes, keys: Sequence[bytes], token: bytes) -> bytes:
    """Encode the arguments of findmany: keys, and a token that was given for a key."""
    return b"20:%b%d:%b%d:%b" % (
        token_key,
        ID_BYTES * len(keys),
        b"".join(keys),
        len(token),
        token,
    )


def decode_args(args: list[Any]) -> list[bytes]:
    """Return the keys of a request.

    Raises:
        BadArguments: There are no keys, too many, or parts of keys.
    """
    joined = args[1] if len(args) > 1 else None
    if type(joined) is not bytes or len(joined) % ID_BYTES:
        raise BadArguments("findmany takes keys of 20 bytes")
    keys = [joined[at : at + ID_BYTES] for at in range(0, len(joined), ID_BYTES)]
    if not 1 <= len(keys) <= MAX_KEYS:
        raise BadArguments(f"findmany takes 1 to {MAX_KEYS} keys")
    return keys


def encode_reply(found: Sequence[list[bytes] | None]) -> bytes:
    """Encode the bencoded values of each key, None if they did not fit."""
    retval = b"".join([b"l%be" % b"".join(each or []) for each in found])
    more = b"".join([b"i%de" % index for index, each in enumerate(found) if each is None])
    more_field = b"4:morel%be" % more if more else b""
    return b"ld%b6:retvall%beee" % (more_field, retval)


def decode_reply(values: list[Any], count: int) -> list[list[Any] | None]:
    """Return the values of each of ``count`` keys, None if they did not fit.

    Raises:
        WireError: The reply is malformed.
    """
    first = values[0] if values else None
    if type(first) is not dict:
        raise WireError(DropReason.BAD_RESPONSE)
    rows, more = first.get(b"retval"), first.get(b"more", [])
    if type(rows) is not list or len(rows) != count or not all(type(row) is list for row in rows):
        raise WireError(DropReason.BAD_RESPONSE)
    if type(more) is not list:
        raise WireError(DropReason.BAD_RESPONSE)
    found: list[list[Any] | None] = list(rows)
    for index in more:
        if type(index) is not int or not 0 <= index < count:
            raise WireError(DropReason.BAD_RESPONSE)
        found[index] = None
    return found
