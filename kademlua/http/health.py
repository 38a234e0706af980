"""Whether the node lives and is of use, for those who watch over it; and its metrics."""

from __future__ import annotations

import falcon

from kademlua.http.metrics import CONTENT_TYPE, NodeMetrics
from kademlua.node.node import Node


class HealthResource:
    """The loop turns: who gets an answer knows it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 while the node runs, else 503."""
        _send_status(resp, "ok" if not self._node.closed else "closed", ok=not self._node.closed)

    on_head = on_get


class ReadyResource:
    """The node is in a network."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 once the node has joined, else 503."""
        is_joined = self._node.joined
        _send_status(resp, "joined" if is_joined else "not joined", ok=is_joined)

    on_head = on_get


class MetricsResource:
    """What Prometheus scrapes."""

    def __init__(self, metrics: NodeMetrics) -> None:
        self._metrics = metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All metrics in Prometheus' text format."""
        resp.content_type = CONTENT_TYPE
        resp.data = self._metrics.render()

    on_head = on_get


def _send_status(resp: falcon.Response, text: str, *, ok: bool) -> None:
    resp.status = falcon.HTTP_200 if ok else falcon.HTTP_503
    resp.content_type = "text/plain; charset=utf-8"
    resp.data = text.encode() + b"\n"
