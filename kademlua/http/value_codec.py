"""Values in request bodies and keys in request paths."""

from __future__ import annotations

import json
from typing import Any

import falcon

from kademlua.core import ids
from kademlua.core.json_codec import value_from_json, value_to_json

JSON = "application/json"
BYTES = "application/octet-stream"
TEXT = "text/plain"


def decode_body(body: bytes, content_type: str) -> tuple[Any, Any]:
    """Return the value of a request body: JSON by its content type, else the raw bytes.

    Returns: The JSON form of the value, and the value.

    Raises:
        falcon.HTTPError: The content type is unknown, or the body is not a valid value.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in (BYTES, TEXT):
        return value_to_json(body), body
    if kind != JSON:
        raise falcon.HTTPUnsupportedMediaType(description=f"send {JSON}, {BYTES} or {TEXT}")
    try:
        value_json = json.loads(body)
        return value_json, value_from_json(value_json)
    except (ValueError, RecursionError) as error:
        raise falcon.HTTPUnprocessableEntity(description=f"no value: {str(error)[:200]}") from None


def key_from_path(req: falcon.Request, prefix: str, *, is_hex: bool) -> bytes:
    """Return the key after ``prefix`` in a path: its SHA-1, or with ``is_hex`` its 40 digits.

    Raises:
        falcon.HTTPNotFound: ``is_hex`` is true and the path does not have 40 hex digits.
    """
    raw_key: bytes = req.env["PATH_INFO"].encode("latin-1")[len(prefix) :]
    if not is_hex:
        return ids.sha1(raw_key)
    try:
        return ids.from_hex(raw_key.decode("latin-1"))
    except ValueError as error:
        raise falcon.HTTPNotFound(description=f"{error}, as hex=true says") from None
