"""The API's description (OpenAPI 3.1): what may be asked, and what is answered."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import falcon

from kademlua.core.params import Params
from kademlua.http.access_control import PUBLIC
from kademlua.http.event_stream import KINDS
from kademlua.http.openapi import schemas
from kademlua.http.openapi.helpers import flag, number, operation, parameter, ref
from kademlua.http.pagination import MAX_LISTED
from kademlua.http.value_codec import BYTES, JSON
from kademlua.http.value_resources import MAX_ANSWERS, MAX_PER_NODE

_STORING = (404, 411, 413, 415, 422, 502, 503)


class Document:
    """The description, made once."""

    def __init__(self, described: dict[str, Any]) -> None:
        """What ``document`` makes."""
        self._text = json.dumps(described).encode()

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of it."""
        resp.data = self._text

    on_head = on_get


def document(params: Params, *, is_open: bool, swarm: bool = False) -> dict[str, Any]:
    """The description as a dictionary; where not ``is_open``, all takes the token. With ``swarm``
    it is that of a swarm, by way of one of its nodes."""
    paths = _watching() | _values(params) | _published(params) | _knowledge()
    if swarm:
        paths |= _swarm()
    for path, operations in paths.items():
        for method, described in operations.items():
            if method != "parameters" and (method != "get" or not (is_open or path in PUBLIC)):
                described["security"] = [{"token": []}]
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
        "/healthz": {"get": operation("Whether the loop turns.", words, (503,), plain=True)},
        "/readyz": {"get": operation("Whether the node has joined.", words, (503,), plain=True)},
        "/metrics": {"get": operation("Metrics for Prometheus.", words)},
        "/v1/openapi.json": {
            "get": operation("This description.", {JSON: {"schema": {"type": "object"}}})
        },
    }


def _values(params: Params) -> dict[str, Any]:
    found = {JSON: ref("Found"), BYTES: {"schema": {"type": "string", "format": "binary"}}}
    return {
        "/v1/values/{key}": {
            "parameters": [_KEY, _HEX],
            "get": operation(
                "Find the values of a key.",
                found,
                (404, 406, 503),
                parameters=[
                    number("answers", 3, MAX_ANSWERS, "Nodes whose values are wanted."),
                    number("per_node", 100, MAX_PER_NODE, "Values wanted of each."),
                ],
            ),
            "post": operation(
                "Add this node's value of a key, in place of its former one.",
                {JSON: ref("Report")},
                _STORING,
                parameters=[
                    _ttl(params),
                    flag("overwrite", "Ask the holders to drop other owners' values, too."),
                ],
                body=True,
            ),
            "delete": operation(
                "Take this node's value of a key away from all who hold it.",
                {JSON: ref("Report")},
                (404, 411, 413, 502, 503),
            ),
        },
        "/v1/lookup/{key}": {
            "parameters": [_KEY, _HEX],
            "get": operation(
                "Look up the nodes closest to a key.", {JSON: ref("Looked")}, (404, 503)
            ),
        },
    }


def _published(params: Params) -> dict[str, Any]:
    return {
        "/v1/published": {
            "get": operation(
                "What the node publishes.", {JSON: ref("Publications")}, parameters=_PAGE
            )
        },
        "/v1/published/{key}": {
            "parameters": [_KEY, _HEX],
            "put": operation(
                "Store a value, and keep it alive while this node lives.",
                {JSON: ref("Report")},
                _STORING,
                parameters=[_ttl(params)],
                body=True,
            ),
            "delete": operation("Let a published value end with its time.", None, (404, 411, 413)),
        },
    }


def _knowledge() -> dict[str, Any]:
    return {
        "/v1/contacts": {"get": operation("The routing table.", {JSON: ref("Contacts")})},
        "/v1/stored": {
            "get": operation(
                "The values that the node keeps for the network.",
                {JSON: ref("Stored")},
                parameters=_PAGE,
            )
        },
        "/v1/stats": {"get": operation("The node's counters.", {JSON: ref("Stats")})},
        "/v1/events": {
            "get": operation(
                "What happens, as it happens: server-sent events.",
                {"text/event-stream": {"schema": {"type": "string"}}},
                (503,),
                parameters=[
                    parameter(
                        "kinds",
                        {"type": "array", "items": {"enum": list(KINDS)}, "minItems": 1},
                        "What is told.",
                        style="form",
                        explode=False,
                    ),
                    number("lookups", 10, 100, "Lookups told in a second, at most."),
                ],
            )
        },
    }


def _swarm() -> dict[str, Any]:
    member, taken = {JSON: ref("Member")}, (404, 409, 411, 413)
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "/v1/swarm": {"get": operation("All nodes.", {JSON: ref("Swarm")})},
        "/v1/swarm/events": {
            "get": operation("What happens among them: server-sent events.", stream, (503,))
        },
        "/v1/swarm/kill": {"post": operation("Kill a node, any of them.", member, taken)},
        "/v1/swarm/join": {"post": operation("Have a node come.", member, taken)},
    }


def _ttl(params: Params) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": int(params.max_ttl)}
    return parameter("ttl", schema, f"Seconds that it lives; {params.ttl:.0f} unless said.")


_KEY = {
    "name": "key",
    "in": "path",
    "required": True,
    "schema": {"type": "string"},
    "description": "Text, of which the SHA-1 is the key; may have slashes, and be empty.",
}
_HEX = flag("hex", "The path has the 40 hex digits of the key itself.")
_PAGE = [
    number("limit", 50, MAX_LISTED, "Keys in one answer."),
    parameter("after", schemas.ID, "Only keys behind this one."),
]
