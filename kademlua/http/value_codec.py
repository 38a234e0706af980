"""Values and keys on their way between HTTP and the network."""

from __future__ import annotations

import json
from typing import Any

import falcon

from kademlua.core import ids
from kademlua.core.json_codec import value_from_json

JSON = "application/json"
BYTES = "application/octet-stream"
TEXT = "text/plain"


def decode_body(body: bytes, content_type: str) -> Any:
    """The value in a request's body: JSON by its content type, else the bytes as they are.

    A falcon.HTTPError for another content type, for what is no JSON, and for what can't be a value
    of the network, which has no fractions, no truth values and no null.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in (BYTES, TEXT):
        return body
    if kind != JSON:
        raise falcon.HTTPUnsupportedMediaType(description=f"send {JSON}, {BYTES} or {TEXT}")
    try:
        return value_from_json(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise falcon.HTTPUnprocessableEntity(description=f"no value: {str(error)[:200]}") from None


def key_from_path(req: falcon.Request, prefix: str) -> bytes:
    """The 20 bytes of the key in a path, behind ``prefix``: its hash, or with ``?hex=true`` what
    the digits say. A falcon.HTTPError where they are none."""
    raw_key: bytes = req.env["PATH_INFO"].encode("latin-1")[len(prefix) :]
    if not req.get_param_as_bool("hex"):
        return ids.sha1(raw_key)
    try:
        return ids.from_hex(raw_key.decode("latin-1"))
    except ValueError as error:
        raise falcon.HTTPNotFound(description=f"{error}, as hex=true says") from None
