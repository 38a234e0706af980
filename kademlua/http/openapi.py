"""The OpenAPI 3.1 document, generated from the table of routes and their types."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NotRequired, TypedDict

import msgspec

from kademlua.http.access_control import PUBLIC_PATHS
from kademlua.http.route import Route
from kademlua.http.secret_header import SECRET_PARAMETER
from kademlua.http.value_codec import BYTES, JSON, TEXT

PROBLEM = "application/problem+json"
_REF_TEMPLATE = "#/components/schemas/{name}"
_TEXT_SCHEMA = {"type": "string"}
_KEY_PARAMETER = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": _TEXT_SCHEMA,
    "description": "Text whose SHA-1 is the key; it may contain slashes, and be empty.",
}
_HEX_KEY_PARAMETER = _KEY_PARAMETER | {
    "schema": _TEXT_SCHEMA | {"pattern": "^[0-9a-fA-F]{40}$"},
    "description": "The key of an object, 40 hex digits.",
}
_VALUE_SCHEMA = {
    "description": 'Text, integers, lists and objects of them. {"hex": digits} represents bytes'
    ' that are not UTF-8. {"items": [[key, value], ...]} represents a dictionary with'
    " such keys, or whose only key is hex or items.",
    "anyOf": [
        _TEXT_SCHEMA,
        {"type": "integer"},
        {"type": "array", "items": {"$ref": _REF_TEMPLATE.format(name="Value")}},
        {
            "type": "object",
            "additionalProperties": {"$ref": _REF_TEMPLATE.format(name="Value")},
        },
    ],
}
_VALUE_BODY = {
    JSON: {"schema": {"$ref": _REF_TEMPLATE.format(name="Value")}},
    BYTES: {"schema": _TEXT_SCHEMA},
    TEXT: {"schema": _TEXT_SCHEMA},
}


class Problem(TypedDict):
    """An error (RFC 9457)."""

    title: str
    status: int
    detail: NotRequired[str]


def build_document(routes: Sequence[Route], *, allow_anonymous_reads: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Without ``allow_anonymous_reads`` all paths require the token, except for public ones.
    """
    reply_types = [Any if isinstance(each.reply, str) else each.reply for each in routes]
    reply_schemas, schemas = msgspec.json.schema_components(
        [*reply_types, Problem], ref_template=_REF_TEMPLATE
    )
    paths: dict[str, dict[str, Any]] = {}
    for route, reply_schema in zip(routes, reply_schemas, strict=False):
        description = _describe(route, reply_schema, problem_schema=reply_schemas[-1])
        is_public = allow_anonymous_reads or route.path in PUBLIC_PATHS
        if route.method != "GET" or not is_public:
            description["security"] = [{"token": []}]
        paths.setdefault(route.path, {})[route.method.lower()] = description
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
            "schemas": schemas | {"Value": _VALUE_SCHEMA},
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


def _describe(route: Route, reply_schema: Any, *, problem_schema: Any) -> dict[str, Any]:
    """Return the OpenAPI operation of a route."""
    responses: dict[str, Any] = {"200": {"description": "OK", "content": {}}}
    if route.reply is None:
        responses = {"204": {"description": "No Content"}}
    elif isinstance(route.reply, str):
        responses["200"]["content"] = {route.reply: {"schema": _TEXT_SCHEMA}}
    else:
        responses["200"]["content"] = {JSON: {"schema": reply_schema}}
        for media_type in route.alternatives:
            responses["200"]["content"][media_type] = {"schema": _TEXT_SCHEMA}
    for status in _error_statuses(route):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM: {"schema": problem_schema}},
        }
    description: dict[str, Any] = {
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": responses,
    }
    if route.has_body:
        description["requestBody"] = {"required": True, "content": _VALUE_BODY}
    if route.streams_body:
        description["requestBody"] = {
            "required": True,
            "content": {BYTES: {"schema": _TEXT_SCHEMA | {"format": "binary"}}},
        }
    return description


def _error_statuses(route: Route) -> list[int]:
    statuses = {400, 401, 403, 421, 503, *route.errors}
    if route.method != "GET":
        statuses |= {411, 413}
    if route.has_body:
        statuses |= {415, 422, 502}
    if "{key}" in route.path:
        statuses |= {404}
    if route.takes_secret:
        statuses |= {501}
    return sorted(statuses)


def _parameters(route: Route) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([route.query])
    properties = components[route.query.__name__]["properties"]
    key_parameter = _KEY_PARAMETER if "hex" in properties else _HEX_KEY_PARAMETER
    found: list[dict[str, Any]] = [key_parameter] if "{key}" in route.path else []
    for name, schema in properties.items():
        description = schema.pop("description")
        found.append({"name": name, "in": "query", "schema": schema, "description": description})
    return [*found, SECRET_PARAMETER] if route.takes_secret else found
