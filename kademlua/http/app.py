"""The WSGI application of one node: what is asked by which path, and errors as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

import falcon

from kademlua.core.errors import KademluaError, NodeClosed, NotJoined, StoreFailed, TooManyCalls
from kademlua.http.access_control import Guard
from kademlua.http.event_stream import Events
from kademlua.http.health import Health, Metrics, Ready
from kademlua.http.metrics import NodeMetrics
from kademlua.http.node_resources import Contacts, Lookup, Stats, Stored
from kademlua.http.openapi import document
from kademlua.http.openapi.helpers import PROBLEM
from kademlua.http.static_page import add_pages
from kademlua.http.swarm_resources import SwarmChange, SwarmEvents, SwarmNodes
from kademlua.http.value_resources import Publications, Published, Values
from kademlua.node.node import Node
from kademlua.swarm.event_hub import Watch

logger = logging.getLogger(__name__)

_STATUS = (
    (NotJoined, falcon.HTTP_503),
    (NodeClosed, falcon.HTTP_503),
    (TooManyCalls, falcon.HTTP_503),
    (StoreFailed, falcon.HTTP_502),
)


def make_app(
    node: Node, guard: Guard, metrics: NodeMetrics, watch: Watch | None = None
) -> falcon.App[Any, Any]:
    """The application, to be served from the node's hub; with ``watch``, a swarm's, too."""
    app = falcon.App(middleware=[guard])
    app.req_options.strip_url_path_trailing_slash = False
    app.set_error_serializer(_serialize)
    app.add_error_handler(KademluaError, _failed)
    app.add_error_handler(Exception, _broke_down)
    add_pages(app, "swarm" if watch is not None else "node")
    app.add_route("/healthz", Health(node))
    app.add_route("/readyz", Ready(node))
    app.add_route("/metrics", Metrics(metrics))
    app.add_route("/v1/values/{key:path}", Values(node))
    app.add_route("/v1/published", Publications(node))
    app.add_route("/v1/published/{key:path}", Published(node))
    app.add_route("/v1/lookup/{key:path}", Lookup(node))
    app.add_route("/v1/contacts", Contacts(node))
    app.add_route("/v1/stored", Stored(node))
    app.add_route("/v1/stats", Stats(node))
    app.add_route("/v1/events", Events(node))
    described = document.document(node.params, is_open=guard.is_open, swarm=watch is not None)
    app.add_route("/v1/openapi.json", document.Document(described))
    if watch is not None:
        app.add_route("/v1/swarm", SwarmNodes(watch))
        app.add_route("/v1/swarm/events", SwarmEvents(watch))
        app.add_route("/v1/swarm/kill", SwarmChange(watch.members.kill))
        app.add_route("/v1/swarm/join", SwarmChange(watch.members.join))
    return app


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """An error as JSON (RFC 9457), whatever the client accepts."""
    problem: dict[str, Any] = {"title": error.title, "status": error.status_code}
    if error.description:
        problem["detail"] = error.description
    resp.content_type = PROBLEM
    resp.data = json.dumps(problem).encode()


def _failed(
    req: falcon.Request, resp: falcon.Response, error: KademluaError, params: dict[str, Any]
) -> None:
    """What the network or the node could not do."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            raise falcon.HTTPError(status, description=str(error))
    _broke_down(req, resp, error, params)


def _broke_down(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    if isinstance(error, (falcon.HTTPError, falcon.HTTPStatus)):
        raise error
    logger.error("a request failed", exc_info=error)
    raise falcon.HTTPInternalServerError(description="a defect of this node; its log has more")
