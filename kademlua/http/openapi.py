"""The API's description (OpenAPI 3.1): what may be asked, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import falcon

from kademlua.core.params import Params
from kademlua.http import schemas
from kademlua.http.events import KINDS
from kademlua.http.paging import MAX_LISTED
from kademlua.http.resources import MAX_ANSWERS, MAX_PER_NODE
from kademlua.http.values import BYTES, JSON, TEXT

PROBLEM = "application/problem+json"
_WORDS = {
    400: "A parameter, or the request itself, is wrong.",
    401: "This takes the token.",
    403: "A page from elsewhere asked.",
    404: "There is none; or the path is no key.",
    406: "There is no such form of it.",
    411: "A chunked body; send its length.",
    413: "The value is too large.",
    415: "No such content type is taken.",
    421: "The node is not known by the name in Host.",
    422: "The body is no value of the network.",
    502: "No node took it.",
    503: "The node is not joined, too busy, or about to end.",
}
_ALWAYS = (400, 401, 403, 421)
_STORING = (404, 411, 413, 415, 422, 502, 503)


class Document:
    """The description, made once."""

    def __init__(self, params: Params, *, is_open: bool) -> None:
        """``is_open`` says whether everybody may read."""
        self._text = json.dumps(document(params, is_open=is_open)).encode()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of it."""
        resp.data = self._text

    on_head = on_get


def document(params: Params, *, is_open: bool) -> dict[str, Any]:
    """The description as a dictionary; where not ``is_open``, all takes the token."""
    paths = _watching() | _values(params) | _published(params) | _knowledge()
    for operations in paths.values():
        for method, operation in operations.items():
            if method != "parameters" and (method != "get" or not is_open):
                operation["security"] = [{"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "A node of Kademlua",
            "version": _version(),
            "description": "Finds and keeps values in a distributed hash table.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.SCHEMAS,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The line in the file http-token of the data directory.",
                }
            },
        },
    }


def _version() -> str:
    try:
        return version("kademlua")
    except PackageNotFoundError:  # run from a checkout
        return "0"


def _watching() -> dict[str, Any]:
    words = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/healthz": {"get": _operation("Whether the loop turns.", words, (503,), plain=True)},
        "/readyz": {"get": _operation("Whether the node has joined.", words, (503,), plain=True)},
        "/metrics": {"get": _operation("Metrics for Prometheus.", words)},
        "/v1/openapi.json": {
            "get": _operation("This description.", {JSON: {"schema": {"type": "object"}}})
        },
    }


def _values(params: Params) -> dict[str, Any]:
    found = {JSON: _ref("Found"), BYTES: {"schema": {"type": "string", "format": "binary"}}}
    return {
        "/v1/values/{key}": {
            "parameters": [_KEY, _HEX],
            "get": _operation(
                "Find the values of a key.",
                found,
                (404, 406, 503),
                parameters=[
                    _number("answers", 3, MAX_ANSWERS, "Nodes whose values are wanted."),
                    _number("per_node", 100, MAX_PER_NODE, "Values wanted of each."),
                ],
            ),
            "post": _operation(
                "Add this node's value of a key, in place of its former one.",
                {JSON: _ref("Report")},
                _STORING,
                parameters=[
                    _ttl(params),
                    _flag("overwrite", "Ask the holders to drop other owners' values, too."),
                ],
                body=True,
            ),
            "delete": _operation(
                "Take this node's value of a key away from all who hold it.",
                {JSON: _ref("Report")},
                (404, 411, 413, 502, 503),
            ),
        },
        "/v1/lookup/{key}": {
            "parameters": [_KEY, _HEX],
            "get": _operation(
                "Look up the nodes closest to a key.", {JSON: _ref("Looked")}, (404, 503)
            ),
        },
    }


def _published(params: Params) -> dict[str, Any]:
    return {
        "/v1/published": {
            "get": _operation(
                "What the node publishes.", {JSON: _ref("Publications")}, parameters=_PAGE
            )
        },
        "/v1/published/{key}": {
            "parameters": [_KEY, _HEX],
            "put": _operation(
                "Store a value, and keep it alive while this node lives.",
                {JSON: _ref("Report")},
                _STORING,
                parameters=[_ttl(params)],
                body=True,
            ),
            "delete": _operation("Let a published value end with its time.", None, (404, 411, 413)),
        },
    }


def _knowledge() -> dict[str, Any]:
    return {
        "/v1/contacts": {"get": _operation("The routing table.", {JSON: _ref("Contacts")})},
        "/v1/stored": {
            "get": _operation(
                "The values that the node keeps for the network.",
                {JSON: _ref("Stored")},
                parameters=_PAGE,
            )
        },
        "/v1/stats": {"get": _operation("The node's counters.", {JSON: _ref("Stats")})},
        "/v1/events": {
            "get": _operation(
                "What happens, as it happens: server-sent events.",
                {"text/event-stream": {"schema": {"type": "string"}}},
                (503,),
                parameters=[
                    _parameter(
                        "kinds",
                        {"type": "array", "items": {"enum": list(KINDS)}, "minItems": 1},
                        "What is told.",
                        style="form",
                        explode=False,
                    ),
                    _number("lookups", 10, 100, "Lookups told in a second, at most."),
                ],
            )
        },
    }


def _ref(name: str) -> dict[str, Any]:
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def _operation(
    summary: str,
    content: dict[str, Any] | None,
    errors: Iterable[int] = (),
    *,
    parameters: Iterable[dict[str, Any]] = (),
    body: bool = False,
    plain: bool = False,
) -> dict[str, Any]:
    """One method of a path; without ``content`` its answer is empty, and where ``plain``, an
    error's body is as that of success."""
    responses: dict[str, Any] = {"204": {"description": "Done."}}
    if content is not None:
        responses = {"200": {"description": "Done.", "content": content}}
    for status in sorted({*_ALWAYS, *errors}):
        responses[str(status)] = {"description": _WORDS[status], "content": _problem()}
    if plain:
        responses["503"] = {"description": "It is not so.", "content": content}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = list(parameters)
    if body:
        raw = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: _ref("Value"), BYTES: raw, TEXT: {"schema": {"type": "string"}}},
        }
    return operation


def _problem() -> dict[str, Any]:
    return {PROBLEM: _ref("Problem")}


def _parameter(name: str, schema: dict[str, Any], text: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": text} | more


def _number(name: str, default: int, most: int, text: str) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return _parameter(name, schema, text)


def _ttl(params: Params) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": int(params.max_ttl)}
    return _parameter("ttl", schema, f"Seconds that it lives; {params.ttl:.0f} unless said.")


def _flag(name: str, text: str) -> dict[str, Any]:
    return _parameter(name, {"type": "boolean", "default": False}, text)


_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "Text, of which the SHA-1 is the key; may have slashes, and be empty.",
}
_HEX = _flag("hex", "The path has the 40 hex digits of the key itself.")
_PAGE = [
    _number("limit", 50, MAX_LISTED, "Keys in one answer."),
    _parameter("after", schemas.ID, "Only keys behind this one."),
]
