"""HttpService: all of HTTP beside one node, put together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from kademlua.core.contact import Endpoint
from kademlua.http.access_control import AccessControl
from kademlua.http.app import make_app
from kademlua.http.metrics import NodeMetrics
from kademlua.http.server.server import HttpServer
from kademlua.node.node import Node
from kademlua.swarm.event_hub import EventHub

_BODY_OVERHEAD_BYTES = 1_024
_MAX_JSON_EXPANSION = 6
"""Bytes that JSON takes for one of a value, at most."""


class HttpService:
    """The API and the metrics of a node, in its hub.

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
    ) -> None:
        """Nothing is opened before ``start``.

        ``listen`` is an IP address of this machine and a port, 0 for a free one. Whatever changes
        the node's state takes the ``token``; where the address is not a loopback one, so does all
        else. ``host_names`` are host names by which the node may be asked, besides localhost and
        its addresses. With the ``event_hub`` of a swarm, that is shown, too.
        """
        allow_anonymous_reads = ipaddress.ip_address(listen[0]).is_loopback
        self._metrics = NodeMetrics(node, self.counts)
        app = make_app(
            node,
            AccessControl(
                token, allow_anonymous_reads=allow_anonymous_reads, host_names=host_names
            ),
            self._metrics,
            event_hub,
        )
        max_body_bytes = _MAX_JSON_EXPANSION * node.params.max_value_bytes + _BODY_OVERHEAD_BYTES
        self._server = HttpServer(listen, app, max_body_bytes)

    def start(self) -> None:
        """Bind and begin to answer; OSError where the port is in use."""
        self._server.start()
        self._metrics.start()

    def close(self) -> None:
        """Stop, and end all connections; idempotent."""
        self._metrics.close()
        self._server.close()

    @property
    def local_endpoint(self) -> Endpoint:
        """Where it listens."""
        return self._server.local_endpoint

    def counts(self) -> dict[str, int]:
        """Those of ``HttpServer``."""
        return self._server.counts()
