"""The WSGI application of one node: routes, and errors as JSON."""

from __future__ import annotations

import json
import logging
from typing import Any

import falcon

from kademlua.core.errors import KademluaError, NodeClosed, NotJoined, StoreFailed, TooManyCalls
from kademlua.http.access_control import AccessControl
from kademlua.http.event_stream import EventsResource
from kademlua.http.health import HealthResource, MetricsResource, ReadyResource
from kademlua.http.metrics import NodeMetrics
from kademlua.http.node_resources import (
    ContactsResource,
    LookupResource,
    StatsResource,
    StoredResource,
)
from kademlua.http.openapi import document
from kademlua.http.openapi.helpers import PROBLEM
from kademlua.http.static_page import add_page_routes
from kademlua.http.swarm_resources import (
    SwarmChangeResource,
    SwarmEventsResource,
    SwarmNodesResource,
)
from kademlua.http.value_resources import PublicationResource, PublicationsResource, ValueResource
from kademlua.node.node import Node
from kademlua.swarm.event_hub import EventHub

logger = logging.getLogger(__name__)

_STATUS_BY_ERROR = (
    (NotJoined, falcon.HTTP_503),
    (NodeClosed, falcon.HTTP_503),
    (TooManyCalls, falcon.HTTP_503),
    (StoreFailed, falcon.HTTP_502),
)


def make_app(
    node: Node,
    access_control: AccessControl,
    metrics: NodeMetrics,
    event_hub: EventHub | None = None,
) -> falcon.App[Any, Any]:
    """Return the application; with ``event_hub``, it includes the routes of a swarm.

    It must run in the node's gevent hub.
    """
    app = falcon.App(middleware=[access_control])
    app.req_options.strip_url_path_trailing_slash = False
    app.set_error_serializer(_serialize)
    app.add_error_handler(KademluaError, _handle_node_error)
    app.add_error_handler(Exception, _handle_unexpected_error)
    add_page_routes(app, "swarm" if event_hub is not None else "node")
    app.add_route("/healthz", HealthResource(node))
    app.add_route("/readyz", ReadyResource(node))
    app.add_route("/metrics", MetricsResource(metrics))
    app.add_route("/v1/values/{key:path}", ValueResource(node))
    app.add_route("/v1/published", PublicationsResource(node))
    app.add_route("/v1/published/{key:path}", PublicationResource(node))
    app.add_route("/v1/lookup/{key:path}", LookupResource(node))
    app.add_route("/v1/contacts", ContactsResource(node))
    app.add_route("/v1/stored", StoredResource(node))
    app.add_route("/v1/stats", StatsResource(node))
    app.add_route("/v1/events", EventsResource(node))
    description = document.build_document(
        node.params,
        allow_anonymous_reads=access_control.allow_anonymous_reads,
        swarm=event_hub is not None,
    )
    app.add_route("/v1/openapi.json", document.DocumentResource(description))
    if event_hub is not None:
        app.add_route("/v1/swarm", SwarmNodesResource(event_hub))
        app.add_route("/v1/swarm/events", SwarmEventsResource(event_hub))
        app.add_route("/v1/swarm/kill", SwarmChangeResource(event_hub.members.kill))
        app.add_route("/v1/swarm/join", SwarmChangeResource(event_hub.members.start))
    return app


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Send an error as JSON (RFC 9457), regardless of Accept."""
    problem: dict[str, Any] = {"title": error.title, "status": error.status_code}
    if error.description:
        problem["detail"] = error.description
    resp.content_type = PROBLEM
    resp.data = json.dumps(problem).encode()


def _handle_node_error(
    req: falcon.Request, resp: falcon.Response, error: KademluaError, params: dict[str, Any]
) -> None:
    """Convert an error of the node to its HTTP status."""
    for error_class, status in _STATUS_BY_ERROR:
        if isinstance(error, error_class):
            raise falcon.HTTPError(status, description=str(error))
    _handle_unexpected_error(req, resp, error, params)


def _handle_unexpected_error(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    if isinstance(error, (falcon.HTTPError, falcon.HTTPStatus)):
        raise error
    logger.error("a request failed", exc_info=error)
    raise falcon.HTTPInternalServerError(description="a defect of this node; its log has more")
