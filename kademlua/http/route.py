"""Route: one method of a path of the HTTP API, and how it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import falcon
import msgspec

from kademlua.api.api_call import ApiCall, LocalCall
from kademlua.api.operations import NodeApi
from kademlua.api.secret_calls import SecretCalls
from kademlua.core.values.validation import validate_value
from kademlua.crypto.sealed_values import check_sealed_size
from kademlua.crypto.secret import Secret
from kademlua.http.access_control import AccessControl
from kademlua.http.event_stream import EventStreams
from kademlua.http.health import HealthMonitor
from kademlua.http.metrics import NodeMetrics
from kademlua.http.object_transfers import ObjectTransfers
from kademlua.http.secret_header import read_secret
from kademlua.http.value_codec import BYTES, JSON, decode_body, key_from_path
from kademlua.node.node import Node
from kademlua.node.secret_operations import SecretNode
from kademlua.swarm.event_hub import EventHub


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes of one server use."""

    node: Node
    api: NodeApi
    metrics: NodeMetrics
    health: HealthMonitor
    access_control: AccessControl
    event_hub: EventHub | None = None
    """The events of a swarm, if the node is its control node."""
    event_streams: EventStreams = field(default_factory=EventStreams)
    object_transfers: ObjectTransfers = field(default_factory=ObjectTransfers)
    document: dict[str, Any] = field(default_factory=dict)
    """The OpenAPI document; ``make_app`` fills it."""

    @property
    def swarm(self) -> EventHub:
        """``event_hub``, for routes of a swarm."""
        assert self.event_hub is not None
        return self.event_hub


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request whose parameters are valid."""

    services: Services
    http: falcon.Request
    reply: falcon.Response
    query: Any
    """The query parameters, of the type of the route."""
    fields: dict[str, Any]
    """The fields of the node operation: query parameters, ``key`` and ``value``."""
    secret: Secret | None = None
    """If there is one, keys, values and objects are secret."""

    @property
    def node(self) -> Node:
        """The node that serves the request."""
        return self.services.node

    @property
    def operations(self) -> Node | SecretNode:
        """The operations of the node; with the secret, if there is one."""
        return self.node if self.secret is None else self.node.secret(self.secret)

    def run(self, name: str) -> dict[str, Any]:
        """Run an operation of ``NodeApi`` with the fields of the request."""
        call: ApiCall = LocalCall(self.services.api)
        if self.secret is not None:
            call = SecretCalls(self.secret, call, self.node.params)
        return call(name, **self.fields)


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """No query parameters."""


@dataclass(frozen=True)
class Route:
    """One method of a path. The OpenAPI document is generated from the same data."""

    target: str
    """The method and the path; ``{key}`` at its end is a key, which may contain slashes."""
    summary: str
    handler: Callable[[ApiRequest], Any]
    """Returns the reply as JSON or bytes, an iterator of a stream, or None (204)."""
    query: type[msgspec.Struct] = NoQuery
    reply: Any = None
    """The type of a JSON reply, or the media type of another one; None for an empty reply."""
    alternatives: tuple[str, ...] = ()
    """Media types that a client may choose instead of JSON."""
    has_body: bool = False
    """True if the body is a value."""
    streams_body: bool = False
    """True if the body is bytes of any length, which the handler reads in parts."""
    takes_secret: bool = False
    """True if values or objects are secret with the header ``Kademlua-Secret``."""
    errors: tuple[int, ...] = ()
    """Statuses besides those that follow from the other fields."""

    @property
    def method(self) -> str:
        """The method, for example GET."""
        return self.target.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path with its placeholder."""
        return self.target.partition(" ")[2]

    def respond(self, services: Services, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer a request.

        Raises:
            falcon.HTTPError: The request is invalid or failed.
            KademluaError: The node failed to run the operation.
        """
        secret = read_secret(req)
        if secret is not None:
            if not self.takes_secret:
                raise falcon.HTTPBadRequest(description="this request takes no secret")
            resp.cache_control = ["no-store"]
        try:
            query = msgspec.convert(req.params, self.query, strict=False)
        except msgspec.ValidationError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from None
        fields = msgspec.to_builtins(query)
        if "{key}" in self.path:
            is_hex = fields.pop("hex", True)
            fields["key"] = key_from_path(req, self.path.removesuffix("{key}"), is_hex=is_hex).hex()
        if self.has_body:
            fields["value"] = _value_from_body(req, services.node, secret)
        resp.content_type = self.reply if isinstance(self.reply, str) else JSON
        result = self.handler(ApiRequest(services, req, resp, query, fields, secret))
        if result is None:
            resp.status = falcon.HTTP_204
        elif isinstance(result, Iterator):
            if resp.cache_control is None:
                resp.cache_control = ["no-store"]
            resp.stream = result
        else:
            resp.data = result if isinstance(result, bytes) else json.dumps(result).encode()


def _value_from_body(req: falcon.Request, node: Node, secret: Secret | None) -> Any:
    """Return the value of a request body in its JSON form."""
    value_json, value = decode_body(req.bounded_stream.read(), req.content_type or BYTES)
    try:
        encoded = validate_value(value, node.params)
        if secret is not None:
            check_sealed_size(encoded, node.params)
    except ValueError as error:
        raise falcon.HTTPContentTooLarge(description=str(error)) from None
    return value_json
