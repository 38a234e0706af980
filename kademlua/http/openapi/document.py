"""The OpenAPI 3.1 document: paths, parameters and replies."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import falcon

from kademlua.core.params import Params
from kademlua.http.access_control import PUBLIC_PATHS
from kademlua.http.event_stream import EVENT_KINDS
from kademlua.http.openapi import schemas
from kademlua.http.openapi.helpers import (
    bool_parameter,
    int_parameter,
    operation,
    parameter,
    schema_ref,
)
from kademlua.http.pagination import MAX_PAGE_SIZE
from kademlua.http.value_codec import BYTES, JSON
from kademlua.http.value_resources import MAX_NODES, MAX_VALUES_PER_NODE

_STORE_ERRORS = (404, 411, 413, 415, 422, 502, 503)


class DocumentResource:
    """The document, built once."""

    def __init__(self, description: dict[str, Any]) -> None:
        """Serve what ``build_document`` returns."""
        self._text = json.dumps(description).encode()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return the document."""
        resp.data = self._text

    on_head = on_get


def build_document(
    params: Params, *, allow_anonymous_reads: bool, swarm: bool = False
) -> dict[str, Any]:
    """Return the OpenAPI document.

    Without ``allow_anonymous_reads`` all paths require the token. With ``swarm`` it describes a
    swarm, through one of its nodes.
    """
    paths = _monitoring_paths() | _value_paths(params) | _publication_paths(params) | _node_paths()
    if swarm:
        paths |= _swarm_paths()
    for path, operations in paths.items():
        for method, operation_description in operations.items():
            if method != "parameters" and (
                method != "get" or not (allow_anonymous_reads or path in PUBLIC_PATHS)
            ):
                operation_description["security"] = [{"token": []}]
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


def _monitoring_paths() -> dict[str, Any]:
    plain_text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/healthz": {
            "get": operation(
                "Whether the node and its maintenance run.", plain_text, (503,), is_plain=True
            )
        },
        "/readyz": {
            "get": operation("Whether the node has joined.", plain_text, (503,), is_plain=True)
        },
        "/metrics": {"get": operation("Metrics for Prometheus.", plain_text)},
        "/v1/openapi.json": {
            "get": operation("This description.", {JSON: {"schema": {"type": "object"}}})
        },
    }


def _value_paths(params: Params) -> dict[str, Any]:
    results = {JSON: schema_ref("Found"), BYTES: {"schema": {"type": "string", "format": "binary"}}}
    return {
        "/v1/values/{key}": {
            "parameters": [_KEY_PARAMETER, _HEX_PARAMETER],
            "get": operation(
                "Find the values of a key.",
                results,
                (404, 406, 503),
                parameters=[
                    int_parameter("answers", 3, MAX_NODES, "Nodes whose values are wanted."),
                    int_parameter("per_node", 100, MAX_VALUES_PER_NODE, "Values wanted of each."),
                ],
            ),
            "post": operation(
                "Add this node's value of a key, in place of its former one.",
                {JSON: schema_ref("Report")},
                _STORE_ERRORS,
                parameters=[
                    _ttl_parameter(params),
                    bool_parameter(
                        "overwrite", "Ask the holders to drop other owners' values, too."
                    ),
                ],
                has_body=True,
            ),
            "delete": operation(
                "Take this node's value of a key away from all who hold it.",
                {JSON: schema_ref("Report")},
                (404, 411, 413, 502, 503),
            ),
        },
        "/v1/lookup/{key}": {
            "parameters": [_KEY_PARAMETER, _HEX_PARAMETER],
            "get": operation(
                "Look up the nodes closest to a key.", {JSON: schema_ref("Looked")}, (404, 503)
            ),
        },
    }


def _publication_paths(params: Params) -> dict[str, Any]:
    return {
        "/v1/published": {
            "get": operation(
                "What the node publishes.",
                {JSON: schema_ref("Publications")},
                parameters=_PAGE_PARAMETERS,
            )
        },
        "/v1/published/{key}": {
            "parameters": [_KEY_PARAMETER, _HEX_PARAMETER],
            "put": operation(
                "Store a value, and keep it alive while this node lives.",
                {JSON: schema_ref("Report")},
                _STORE_ERRORS,
                parameters=[_ttl_parameter(params)],
                has_body=True,
            ),
            "delete": operation("Let a published value end with its time.", None, (404, 411, 413)),
        },
    }


def _node_paths() -> dict[str, Any]:
    return {
        "/v1/contacts": {"get": operation("The routing table.", {JSON: schema_ref("Contacts")})},
        "/v1/stored": {
            "get": operation(
                "The values that the node keeps for the network.",
                {JSON: schema_ref("Stored")},
                parameters=_PAGE_PARAMETERS,
            )
        },
        "/v1/stats": {"get": operation("The node's counters.", {JSON: schema_ref("Stats")})},
        "/v1/events": {
            "get": operation(
                "What happens, as it happens: server-sent events.",
                {"text/event-stream": {"schema": {"type": "string"}}},
                (503,),
                parameters=[
                    parameter(
                        "kinds",
                        {"type": "array", "items": {"enum": list(EVENT_KINDS)}, "minItems": 1},
                        "What is told.",
                        style="form",
                        explode=False,
                    ),
                    int_parameter("lookups", 10, 100, "Lookups told in a second, at most."),
                ],
            )
        },
    }


def _swarm_paths() -> dict[str, Any]:
    member, errors = {JSON: schema_ref("Member")}, (404, 409, 411, 413)
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "/v1/swarm": {"get": operation("All nodes.", {JSON: schema_ref("Swarm")})},
        "/v1/swarm/events": {
            "get": operation("What happens among them: server-sent events.", stream, (503,))
        },
        "/v1/swarm/kill": {"post": operation("Kill a node, any of them.", member, errors)},
        "/v1/swarm/join": {"post": operation("Have a node come.", member, errors)},
    }


def _ttl_parameter(params: Params) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": int(params.max_ttl)}
    return parameter("ttl", schema, f"Seconds that it lives; {params.ttl:.0f} unless said.")


_KEY_PARAMETER = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "Text, of which the SHA-1 is the key; may have slashes, and be empty.",
}
_HEX_PARAMETER = bool_parameter("hex", "The path has the 40 hex digits of the key itself.")
_PAGE_PARAMETERS = [
    int_parameter("limit", 50, MAX_PAGE_SIZE, "Keys in one answer."),
    parameter("after", schemas.ID, "Only keys behind this one."),
]
