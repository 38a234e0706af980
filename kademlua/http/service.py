"""The HTTP service of one node."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path

from kademlua.api.operations import NodeApi
from kademlua.core.contact import Endpoint
from kademlua.http.access_control import AccessControl
from kademlua.http.app import make_app
from kademlua.http.health import HealthMonitor
from kademlua.http.metrics import NodeMetrics
from kademlua.http.object_resources import STREAMED_PATHS
from kademlua.http.route import Services
from kademlua.http.server.server import HttpServer
from kademlua.node.node import Node
from kademlua.swarm.event_hub import EventHub

_BODY_OVERHEAD_BYTES = 1_024
_MAX_JSON_EXPANSION = 6
"""Maximum bytes of JSON per bencoded byte."""


class HttpService:
    """Serves the API and metrics of a node in its gevent hub.

    >>> service = HttpService(node, ("127.0.0.1", 8080), token="…")
    >>> service.start()
    """

    def __init__(
        self,
        node: Node,
        listen: Endpoint,
        token: str,
        *,
        host_names: Iterable[str] = (),
        event_hub: EventHub | None = None,
        token_file: Path | None = None,
    ) -> None:
        """Create the service; ``start`` opens the socket.

        Args:
            node: The node to serve.
            listen: Local IP address and port; 0 selects a free port.
            token: Required for changes, and for all requests unless ``listen`` is a loopback
                address.
            host_names: Accepted names in Host besides localhost and IP addresses.
            event_hub: The events of a swarm to serve too.
            token_file: Where a user finds the token, for messages.
        """
        allow_anonymous_reads = ipaddress.ip_address(listen[0]).is_loopback
        self._metrics = NodeMetrics(node, self.counts)
        node_api = NodeApi(node, clock=lambda: node.now)
        access_control = AccessControl(
            token,
            allow_anonymous_reads=allow_anonymous_reads,
            host_names=host_names,
            token_file=token_file,
        )
        self._health = HealthMonitor(node, lambda: self._metrics.recent_lag, event_hub)
        app = make_app(
            Services(node, node_api, self._metrics, self._health, access_control, event_hub)
        )
        max_body_bytes = _MAX_JSON_EXPANSION * node.params.max_value_bytes + _BODY_OVERHEAD_BYTES
        self._server = HttpServer(listen, app, max_body_bytes, STREAMED_PATHS)

    def start(self) -> None:
        """Bind and start to serve.

        Raises:
            OSError: The port is in use.
        """
        self._server.start()
        self._metrics.start()
        self._health.start()

    def close(self) -> None:
        """Stop and close all connections; idempotent."""
        self._health.close()
        self._metrics.close()
        self._server.close()

    @property
    def local_endpoint(self) -> Endpoint:
        """The local address and port."""
        return self._server.local_endpoint

    def counts(self) -> dict[str, int]:
        """Return the counters of ``HttpServer``."""
        return self._server.counts()
