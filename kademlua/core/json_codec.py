"""Stored values and contacts as JSON."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import Contact


def value_to_json(value: Any) -> Any:
    """Return a value for ``json.dumps``: UTF-8 as text, other bytes as ``{"hex": digits}``."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"hex": value.hex()}
    if isinstance(value, list):
        return [value_to_json(each) for each in value]
    if isinstance(value, dict):
        return {bytes_to_text(key): value_to_json(each) for key, each in value.items()}
    return value


def contact_to_json(contact: Contact) -> dict[str, Any]:
    """Return a contact for ``json.dumps``."""
    return {"id": contact.id.hex(), "address": contact.addr, "port": contact.port}


def bytes_to_text(value: bytes) -> str:
    """Return UTF-8 as text, and other bytes as 0x and hex digits."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
