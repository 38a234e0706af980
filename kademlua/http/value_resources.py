"""Values over HTTP: found, added, removed, published."""

from __future__ import annotations

import json
from typing import Any

import falcon

from kademlua.core.json_codec import contact_json, value_json
from kademlua.core.params import Params
from kademlua.core.results import Answer, StoreReport
from kademlua.core.values.validation import checked_value
from kademlua.http.pagination import MAX_LISTED, after, first_keys, number
from kademlua.http.value_codec import BYTES, JSON, key_of, value_of
from kademlua.node.node import Node

_PREFIX = "/v1/values/"
_PUBLISHED = "/v1/published/"
MAX_ANSWERS = 20
MAX_PER_NODE = 1_000


class Values:
    """The values of one key."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Find them: all answers as JSON, or the first value's bytes, as the client accepts."""
        wanted = key_of(req, _PREFIX)
        answers = number(req, "answers", 3, MAX_ANSWERS)
        per_node = number(req, "per_node", 100, MAX_PER_NODE)
        accepts = req.client_prefers((JSON, BYTES))
        if accepts is None:
            raise falcon.HTTPNotAcceptable(description=f"there is {JSON} and {BYTES}")
        found = self._node.find_value(wanted, answers, per_node)
        if not found:
            raise falcon.HTTPNotFound(description="the nodes closest to the key have no value")
        if accepts == BYTES:
            resp.content_type = BYTES
            resp.data = _first_bytes(found)
        else:
            resp.data = json.dumps(
                {
                    "key": wanted.hex(),
                    "answers": [
                        {
                            "contact": contact_json(answer.contact),
                            "values": value_json(answer.values),
                        }
                        for answer in found
                    ],
                }
            ).encode()

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Add this node's value of the key, in place of its former one."""
        wanted = key_of(req, _PREFIX)
        overwrite = req.get_param_as_bool("overwrite", default=False)
        value, ttl = sent_value(req, self._node.params), sent_ttl(req, self._node.params)
        report = self._node.store(wanted, value, ttl=ttl, overwrite=overwrite)
        resp.data = json.dumps(report_json(wanted, report)).encode()

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Take this node's value of the key away from all who hold it."""
        wanted = key_of(req, _PREFIX)
        resp.data = json.dumps(report_json(wanted, self._node.remove(wanted))).encode()


class Publications:
    """What the node publishes."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The first ones, by their keys, from ``after`` on."""
        count, last = number(req, "limit", 50, MAX_LISTED), after(req)
        published = self._node.published()
        keys = first_keys((each.key for each in published), last, count + 1)
        wanted = set(keys)
        chosen = {each.key: each for each in published if each.key in wanted}
        listed = [
            {"key": key.hex(), "bytes": len(chosen[key].encoded), "ttl": chosen[key].ttl}
            for key in keys[:count]
        ]
        following = keys[count - 1].hex() if len(keys) > count else None
        resp.data = json.dumps({"published": listed, "next": following}).encode()

    on_head = on_get


class Published:
    """One publication."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_put(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Store a value and keep it alive while this node lives."""
        wanted = key_of(req, _PUBLISHED)
        value, ttl = sent_value(req, self._node.params), sent_ttl(req, self._node.params)
        report = self._node.publish(wanted, value, ttl=ttl)
        resp.data = json.dumps(report_json(wanted, report)).encode()

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Let a published value end with its time."""
        wanted = key_of(req, _PUBLISHED)
        if not self._node.unpublish(wanted):
            raise falcon.HTTPNotFound(description="the node publishes nothing under this key")
        resp.status = falcon.HTTP_204


def sent_value(req: falcon.Request, params: Params) -> Any:
    """The value in a request's body; a falcon.HTTPError where it is none, or too large."""
    value = value_of(req.bounded_stream.read(), req.content_type or BYTES)
    try:
        checked_value(value, params)
    except ValueError as error:
        raise falcon.HTTPContentTooLarge(description=str(error)) from None
    return value


def sent_ttl(req: falcon.Request, params: Params) -> int | None:
    """How many seconds a value is to live, where the query says so."""
    return req.get_param_as_int("ttl", min_value=1, max_value=int(params.max_ttl))


def report_json(key: bytes, report: StoreReport) -> dict[str, Any]:
    """What became of a store, for ``json.dumps``."""
    return {
        "key": key.hex(),
        "acknowledged": [contact_json(contact) for contact in report.acknowledged],
        "refused": [
            {"contact": contact_json(contact), "reason": reason}
            for contact, reason in report.refused
        ],
        "silent": [contact_json(contact) for contact in report.silent],
    }


def _first_bytes(found: list[Answer]) -> bytes:
    for answer in found:
        for value in answer.values:
            if isinstance(value, bytes):
                return value
    raise falcon.HTTPNotAcceptable(description=f"it is no bytes; there is {JSON}")
