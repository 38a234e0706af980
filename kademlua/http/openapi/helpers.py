"""Parts of the OpenAPI document: operations, parameters, replies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kademlua.http.value_codec import BYTES, JSON, TEXT

PROBLEM = "application/problem+json"
_STATUS_DESCRIPTIONS = {
    400: "A parameter, or the request itself, is wrong.",
    401: "This takes the token.",
    403: "A page from elsewhere asked.",
    404: "There is none; or the path is no key.",
    406: "There is no such form of it.",
    409: "There is no node to do it with.",
    411: "A chunked body; send its length.",
    413: "The value is too large.",
    415: "No such content type is taken.",
    421: "The node is not known by the name in Host.",
    422: "The body is no value of the network.",
    502: "No node took it.",
    503: "The node is not joined, too busy, or about to end.",
}
_COMMON_ERRORS = (400, 401, 403, 421)


def schema_ref(name: str) -> dict[str, Any]:
    """Return a JSON body that refers to a schema."""
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}


def operation(
    summary: str,
    content: dict[str, Any] | None,
    errors: Iterable[int] = (),
    *,
    parameters: Iterable[dict[str, Any]] = (),
    has_body: bool = False,
    is_plain: bool = False,
) -> dict[str, Any]:
    """Return one method of a path.

    Without ``content`` its reply is empty. With ``is_plain``, errors have the same body as success.
    """
    responses: dict[str, Any] = {"204": {"description": "Done."}}
    if content is not None:
        responses = {"200": {"description": "Done.", "content": content}}
    for status in sorted({*_COMMON_ERRORS, *errors}):
        responses[str(status)] = {
            "description": _STATUS_DESCRIPTIONS[status],
            "content": _problem_content(),
        }
    if is_plain:
        responses["503"] = {"description": "It is not so.", "content": content}
    description: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        description["parameters"] = list(parameters)
    if has_body:
        raw = {"schema": {"type": "string", "format": "binary"}}
        description["requestBody"] = {
            "required": True,
            "content": {
                JSON: schema_ref("Value"),
                BYTES: raw,
                TEXT: {"schema": {"type": "string"}},
            },
        }
    return description


def _problem_content() -> dict[str, Any]:
    return {PROBLEM: schema_ref("Problem")}


def parameter(
    name: str, schema: dict[str, Any], description: str, **extra_fields: Any
) -> dict[str, Any]:
    """Return a query parameter."""
    return {
        "name": name,
        "in": "query",
        "schema": schema,
        "description": description,
    } | extra_fields


def int_parameter(name: str, default: int, maximum: int, description: str) -> dict[str, Any]:
    """Return a query parameter that is an integer from 1."""
    schema = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return parameter(name, schema, description)


def bool_parameter(name: str, description: str) -> dict[str, Any]:
    """Return a query parameter that is true or false, default false."""
    return parameter(name, {"type": "boolean", "default": False}, description)
