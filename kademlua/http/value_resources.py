"""HTTP resources that find, add, remove and publish values."""

from __future__ import annotations

import json
from typing import Any

import falcon

from kademlua.api.json_form import answers_to_json, report_to_json
from kademlua.core.params import Params
from kademlua.core.results import Answer
from kademlua.core.values.validation import validate_value
from kademlua.http.pagination import MAX_PAGE_SIZE, int_param, page_of_keys, parse_cursor
from kademlua.http.value_codec import BYTES, JSON, decode_body, key_from_path
from kademlua.node.node import Node

_VALUES_PATH = "/v1/values/"
_PUBLISHED_PATH = "/v1/published/"
MAX_NODES = 20
MAX_VALUES_PER_NODE = 1_000


class ValueResource:
    """The values of one key."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Send all answers as JSON, or the first value's bytes, as ``Accept`` prefers."""
        target = key_from_path(req, _VALUES_PATH)
        max_nodes = int_param(req, "answers", 3, MAX_NODES)
        max_values_per_node = int_param(req, "per_node", 100, MAX_VALUES_PER_NODE)
        content_type = req.client_prefers((JSON, BYTES))
        if content_type is None:
            raise falcon.HTTPNotAcceptable(description=f"there is {JSON} and {BYTES}")
        results = self._node.find_value(target, max_nodes, max_values_per_node)
        if not results:
            raise falcon.HTTPNotFound(description="the nodes closest to the key have no value")
        if content_type == BYTES:
            resp.content_type = BYTES
            resp.data = _first_bytes(results)
        else:
            resp.data = json.dumps(answers_to_json(target, results)).encode()

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Add this node's value of the key, and replace its previous value."""
        target = key_from_path(req, _VALUES_PATH)
        overwrite = req.get_param_as_bool("overwrite", default=False)
        value, ttl = value_from_body(req, self._node.params), ttl_from_query(req, self._node.params)
        store = self._node.overwrite if overwrite else self._node.add
        report = store(target, value, ttl=ttl)
        resp.data = json.dumps(report_to_json(target, report)).encode()

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Remove this node's value of the key from all replicas."""
        target = key_from_path(req, _VALUES_PATH)
        resp.data = json.dumps(report_to_json(target, self._node.remove(target))).encode()


class PublicationsResource:
    """The published values of the node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send one page of publications in key order."""
        limit, cursor = int_param(req, "limit", 50, MAX_PAGE_SIZE), parse_cursor(req)
        published = self._node.published()
        keys = page_of_keys((each.key for each in published), cursor, limit + 1)
        page_keys = set(keys)
        publications = {each.key: each for each in published if each.key in page_keys}
        listed = [
            {
                "key": key.hex(),
                "bytes": len(publications[key].encoded),
                "ttl": publications[key].ttl,
            }
            for key in keys[:limit]
        ]
        next_cursor = keys[limit - 1].hex() if len(keys) > limit else None
        resp.data = json.dumps({"published": listed, "next": next_cursor}).encode()

    on_head = on_get


class PublicationResource:
    """One published value."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_put(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Store a value and republish it while this node runs."""
        target = key_from_path(req, _PUBLISHED_PATH)
        value, ttl = value_from_body(req, self._node.params), ttl_from_query(req, self._node.params)
        report = self._node.publish(target, value, ttl=ttl)
        resp.data = json.dumps(report_to_json(target, report)).encode()

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Stop republishing; the value expires at its TTL."""
        target = key_from_path(req, _PUBLISHED_PATH)
        if not self._node.unpublish(target):
            raise falcon.HTTPNotFound(description="the node publishes nothing under this key")
        resp.status = falcon.HTTP_204


def value_from_body(req: falcon.Request, params: Params) -> Any:
    """Return the value of a request body.

    Raises:
        falcon.HTTPError: The value is invalid or too large.
    """
    value = decode_body(req.bounded_stream.read(), req.content_type or BYTES)
    try:
        validate_value(value, params)
    except ValueError as error:
        raise falcon.HTTPContentTooLarge(description=str(error)) from None
    return value


def ttl_from_query(req: falcon.Request, params: Params) -> int | None:
    """Return the query parameter ``ttl`` in seconds, or None."""
    return req.get_param_as_int("ttl", min_value=1, max_value=int(params.max_ttl))


def _first_bytes(results: list[Answer]) -> bytes:
    for result in results:
        for value in result.values:
            if isinstance(value, bytes):
                return value
    raise falcon.HTTPNotAcceptable(description=f"it is no bytes; there is {JSON}")
