"""Values over HTTP: found, added."""

from __future__ import annotations

import json
from typing import Any

import falcon

from kademlua.http.values import BYTES, JSON, key_of, number, value_of
from kademlua.jsonform import contact_json, value_json
from kademlua.node import Node
from kademlua.operations import Answer
from kademlua.placement import StoreReport

_PREFIX = "/v1/values/"
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
        value = sent_value(req)
        try:
            report = self._node.store(wanted, value, overwrite=overwrite)
        except ValueError as error:  # the kind of value was looked at before, so it is the size
            raise falcon.HTTPContentTooLarge(description=str(error)) from None
        resp.data = json.dumps(report_json(wanted, report)).encode()


def sent_value(req: falcon.Request) -> Any:
    """The value in a request's body."""
    body = req.bounded_stream.read()
    return value_of(body, req.content_type or BYTES)


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
