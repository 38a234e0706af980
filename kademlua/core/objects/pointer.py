"""Pointers: the values of signed records that give a changing object a stable name."""

from __future__ import annotations

from typing import Any

from kademlua.core.ids import is_id
from kademlua.core.objects.errors import MalformedObject


def pointer_to(key: bytes) -> dict[bytes, bytes]:
    """Return the value that points to an object."""
    return {b"object": key}


def target_of(value: Any) -> bytes:
    """Return the key of the object that a value points to; MalformedObject if it is no pointer."""
    key = value.get(b"object") if isinstance(value, dict) else None
    if not is_id(key):
        raise MalformedObject("the record does not point to an object")
    assert isinstance(key, bytes)
    return key
