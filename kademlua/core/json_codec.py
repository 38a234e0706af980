"""JSON forms of values and contacts.

UTF-8 byte strings become text, other byte strings ``{"hex": "ff00"}``. A dictionary becomes an
object. If an object would be ambiguous, it becomes ``{"items": [[key, value], ...]}``, so
``value_from_json(value_to_json(value)) == value`` for every value that bencoding can encode.
"""

from __future__ import annotations

from typing import Any, Final, TypedDict

from kademlua.core.contact import Contact

MAX_DEPTH: Final = 61
"""Maximum nesting of lists and dictionaries; a ``findvalue`` reply adds 3 to the wire's 64."""


class ContactJson(TypedDict):
    """A contact; ``id`` has 40 hex digits."""

    id: str
    address: str
    port: int


def value_to_json(value: Any) -> Any:
    """Return a value in a form that ``json.dumps`` accepts, without loss."""
    if isinstance(value, bytes):
        text = _decode_utf8(value)
        return {"hex": value.hex()} if text is None else text
    if isinstance(value, list):
        return [value_to_json(each) for each in value]
    if isinstance(value, dict):
        keys = [_decode_utf8(key) for key in value]
        if None in keys or keys in (["hex"], ["items"]):
            return {"items": [[value_to_json(key), value_to_json(value[key])] for key in value]}
        return dict(zip(keys, map(value_to_json, value.values()), strict=True))
    return value


def value_from_json(value: Any, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value that ``value_to_json`` converted.

    Raises:
        ValueError: The JSON has no equivalent value: null, true, false, a fraction, half a
            surrogate pair, a malformed ``hex`` or ``items`` object, or excessive nesting.
    """
    if isinstance(value, str):
        return value.encode()
    if type(value) is int:
        return value
    if isinstance(value, dict) and value.keys() == {"hex"}:
        return _bytes_from_hex(value["hex"])
    if isinstance(value, list | dict) and max_depth == 0:
        raise ValueError("the value is nested too deeply")
    if isinstance(value, list):
        return [value_from_json(each, max_depth - 1) for each in value]
    if isinstance(value, dict):
        if value.keys() == {"items"}:
            return _dict_from_items(value["items"], max_depth)
        return {key.encode(): value_from_json(each, max_depth - 1) for key, each in value.items()}
    raise ValueError("a value consists of text, integers, lists and objects")


def contact_to_json(contact: Contact) -> ContactJson:
    """Return a contact's id, address and port."""
    return {"id": contact.id.hex(), "address": contact.addr, "port": contact.port}


def bytes_to_text(value: bytes) -> str:
    """Return UTF-8 as text, other bytes as 0x and hex digits; for display only."""
    text = _decode_utf8(value)
    return "0x" + value.hex() if text is None else text


def _decode_utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _bytes_from_hex(digits: Any) -> bytes:
    if not isinstance(digits, str):
        raise ValueError("'hex' must be a string of hex digits")
    return bytes.fromhex(digits)


def _dict_from_items(items: Any, max_depth: int) -> dict[bytes, Any]:
    result: dict[bytes, Any] = {}
    if not isinstance(items, list):
        raise ValueError("'items' must be a list of pairs")
    for item in items:
        if not isinstance(item, list) or len(item) != 2:
            raise ValueError("'items' must be a list of pairs")
        key = value_from_json(item[0], 0)
        if not isinstance(key, bytes) or key in result:
            raise ValueError("the keys in 'items' must be distinct byte strings")
        result[key] = value_from_json(item[1], max_depth - 1)
    return result
