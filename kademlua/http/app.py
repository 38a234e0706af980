"""The WSGI application of one node: routes, and errors as JSON."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from functools import partial
from types import SimpleNamespace
from typing import Any

import falcon

from kademlua.api.fields import BadRequest
from kademlua.core.errors import (
    CryptoUnavailable,
    KademluaError,
    NodeClosed,
    NothingToRemove,
    NotJoined,
    StoreFailed,
    TooManyCalls,
)
from kademlua.core.objects.errors import ObjectError, ObjectNotFound
from kademlua.http.openapi import PROBLEM, Problem, build_document
from kademlua.http.route import Route, Services
from kademlua.http.routes import ROUTES, SWARM_ROUTES
from kademlua.http.static_page import add_page_routes

logger = logging.getLogger(__name__)

_STATUS_BY_ERROR = (
    (BadRequest, falcon.HTTP_400),
    (NotJoined, falcon.HTTP_503),
    (NodeClosed, falcon.HTTP_503),
    (TooManyCalls, falcon.HTTP_503),
    (NothingToRemove, falcon.HTTP_404),
    (StoreFailed, falcon.HTTP_502),
    (CryptoUnavailable, falcon.HTTP_501),
    (ObjectNotFound, falcon.HTTP_404),
    (ObjectError, falcon.HTTP_502),
)


def make_app(services: Services) -> falcon.App[Any, Any]:
    """Return the application; with an event hub, it includes the routes of a swarm.

    It must run in the node's gevent hub.
    """
    app = falcon.App(middleware=[services.access_control])
    app.req_options.strip_url_path_trailing_slash = False
    app.set_error_serializer(_serialize)
    app.add_error_handler(ConnectionError, _handle_interrupted_body)
    app.add_error_handler(TimeoutError, _handle_interrupted_body)
    app.add_error_handler(KademluaError, _handle_node_error)
    app.add_error_handler(Exception, _handle_unexpected_error)
    is_swarm = services.event_hub is not None
    add_page_routes(app, "swarm" if is_swarm else "node")
    routes = [*ROUTES, *(SWARM_ROUTES if is_swarm else ())]
    allow_anonymous_reads = services.access_control.allow_anonymous_reads
    services.document.update(build_document(routes, allow_anonymous_reads=allow_anonymous_reads))
    responders: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in routes:
        respond = partial(_respond, route, services)
        responders[route.path][f"on_{route.method.lower()}"] = respond
        if route.method == "GET":
            responders[route.path]["on_head"] = respond
    for path, by_method in responders.items():
        app.add_route(path.replace("{key}", "{key:path}"), SimpleNamespace(**by_method))
    return app


def _respond(
    route: Route, services: Services, req: falcon.Request, resp: falcon.Response, key: str = ""
) -> None:
    """Answer a request; the route decodes the key itself, because it may be no text."""
    route.respond(services, req, resp)


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Send an error as JSON (RFC 9457), regardless of Accept."""
    problem: Problem = {"title": error.title or "", "status": error.status_code}
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


def _handle_interrupted_body(
    req: falcon.Request, resp: falcon.Response, error: OSError, params: dict[str, Any]
) -> None:
    if isinstance(error, KademluaError):  # a timeout of the node
        _handle_node_error(req, resp, error, params)
    raise falcon.HTTPBadRequest(description=f"the body ended early: {error}")


def _handle_unexpected_error(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]
) -> None:
    if isinstance(error, (falcon.HTTPError, falcon.HTTPStatus)):
        raise error
    logger.error("a request failed", exc_info=error)
    raise falcon.HTTPInternalServerError(description="a defect of this node; its log has more")
