"""HTTP resources for health, readiness and metrics."""

from __future__ import annotations

import falcon

from kademlua.http.metrics import CONTENT_TYPE, NodeMetrics
from kademlua.node.node import Node


class HealthResource:
    """Liveness: a reply proves that the event loop runs, its status that maintenance does."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send 200 while the node and its maintenance run, else 503."""
        is_healthy = self._node.healthy
        text = "ok" if is_healthy else "closed" if self._node.closed else "maintenance is stuck"
        _send_status(resp, text, ok=is_healthy)

    on_head = on_get


class ReadyResource:
    """Readiness: the node has joined a network."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send 200 once the node has joined, else 503."""
        is_joined = self._node.joined
        _send_status(resp, "joined" if is_joined else "not joined", ok=is_joined)

    on_head = on_get


class MetricsResource:
    """The metrics of the node."""

    def __init__(self, metrics: NodeMetrics) -> None:
        self._metrics = metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send all metrics in the Prometheus text format."""
        resp.content_type = CONTENT_TYPE
        resp.data = self._metrics.render()

    on_head = on_get


def _send_status(resp: falcon.Response, text: str, *, ok: bool) -> None:
    resp.status = falcon.HTTP_200 if ok else falcon.HTTP_503
    resp.content_type = "text/plain; charset=utf-8"
    resp.data = text.encode() + b"\n"
