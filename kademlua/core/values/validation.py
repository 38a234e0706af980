"""Validation of the keys, values and TTLs that programs pass to a node."""

from __future__ import annotations

import math
from typing import Any

from kademlua.core import ids
from kademlua.core.durations import format_duration
from kademlua.core.params import Params
from kademlua.core.wire import bencoding, replies


def validate_key(key: object) -> bytes:
    """Return a key or id of 20 bytes; TypeError or ValueError for anything else."""
    if not isinstance(key, bytes):
        raise TypeError(f"a key is {ids.ID_BYTES} bytes (sha1(text) makes one), not {key!r:.60}")
    if len(key) != ids.ID_BYTES:
        raise ValueError(f"a key has {ids.ID_BYTES} bytes, not {len(key)}")
    return key


def validate_value(value: Any, params: Params) -> bytes:
    """Return a value bencoded; TypeError if it has no such form, ValueError if it is too large."""
    encoded = replies.encode_value(value)
    check_encoded(encoded, params)
    return encoded


def check_encoded(encoded: bytes, params: Params) -> None:
    """Raise ValueError if a bencoded value is too large, in bytes or tokens."""
    if len(encoded) > params.max_value_bytes:
        raise ValueError(
            f"a value has at most {params.max_value_bytes:,} bytes, bencoded; this one has"
            f" {len(encoded):,}"
        )
    bencoding.check_tokens(encoded)


def validate_ttl(ttl: object, params: Params) -> int:
    """Return a TTL in whole seconds, rounded up; ``Params.ttl`` for None.

    TypeError if it is no number, ValueError if it is out of range.
    """
    if ttl is None:
        return max(1, int(min(params.ttl, params.max_ttl)))
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):
        raise TypeError(f"a TTL is a number of seconds, not {ttl!r:.60}")
    if not 0 < ttl <= params.max_ttl:
        limit = format_duration(params.max_ttl)
        raise ValueError(f"a TTL is 1s to {limit} ({params.max_ttl:,} s), not {_ttl_text(ttl)}")
    return math.ceil(ttl)


def _ttl_text(ttl: Any) -> str:
    return format_duration(ttl) if abs(ttl) < 1e9 else f"{ttl!r:.20}"
