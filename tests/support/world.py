"""The environment of a test: virtual time, a virtual network, and nodes and peers on it.

A test that requests the fixture ``world`` runs on virtual time. Its nodes and peers are closed
at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cached_property, partial
from typing import Any

import gevent
import pytest

from kademlua import ContactPool, Node, NodeOptions
from kademlua.core.contact import Endpoint
from kademlua.core.ids import random_id
from kademlua.simulation.clock import leaked_greenlets
from kademlua.simulation.clock.loop import run_virtual, virtual_loop, virtual_now
from kademlua.simulation.network.latency import ConstantLatency, CoordinateLatency
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.rng_streams import RngStreams
from tests.support.peers import ScriptedPeer

ONE_WAY = 0.05
"""One-way latency in seconds."""
RTT = 2 * ONE_WAY
TIMER_SLACK = 0.005
"""Seconds by which a node may be late to notice that a call timed out."""
UNUSED_ENDPOINT: Endpoint = ("10.255.0.1", 9)
"""An endpoint without a node."""


def approx_time(seconds: float, timers: int = 1) -> Any:
    """Return an approximation for a time after ``timers`` sequential timers of a node.

    A timer never fires early, and at most ``TIMER_SLACK`` late.
    """
    return pytest.approx(seconds + timers * TIMER_SLACK / 2, abs=timers * TIMER_SLACK / 2 + 1e-9)


def node_arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Node`` for settings by name: options go into NodeOptions."""
    names = {field.name for field in fields(NodeOptions)}
    options = {name: value for name, value in settings.items() if name in names}
    others = {name: value for name, value in settings.items() if name not in names}
    return others | {"options": NodeOptions(**options)}


class World:
    """A virtual network with nodes and peers; usable inside ``run`` only."""

    def __init__(
        self, seed: int = 1, one_way: float = ONE_WAY, *, has_coordinates: bool = False
    ) -> None:
        """Prepare; ``one_way`` is the latency in seconds, with coordinates its median."""
        self._streams = RngStreams(seed)
        self._pool = ContactPool()
        self._cleanups: list[Callable[[], None]] = []
        latency = (
            CoordinateLatency(self._streams, one_way)
            if has_coordinates
            else ConstantLatency(one_way)
        )
        self.net = VirtualNetwork(self._streams, latency)
        """The network, to set conditions, partitions, pauses and NAT."""

    def run(self, test: Callable[[], object]) -> None:
        """Run a test on virtual time; fail it if nodes leave greenlets or timers behind."""

        def main() -> None:
            try:
                test()
            finally:
                self._close()
            self._check_leaks()

        run_virtual(main)

    # Nodes and peers.

    @cached_property
    def alice(self) -> Node:
        """A node without contacts."""
        return self.node()

    @cached_property
    def bob(self) -> Node:
        """Another node without contacts, unknown to other nodes."""
        return self.node()

    def node(
        self, *bootstrap: Node | Endpoint, endpoint: Endpoint | None = None, **settings: Any
    ) -> Node:
        """Return a started node, by default at a new endpoint."""
        node = self.unstarted_node(*bootstrap, endpoint=endpoint, **settings)
        node.start()
        return node

    def unstarted_node(
        self, *bootstrap: Node | Endpoint, endpoint: Endpoint | None = None, **settings: Any
    ) -> Node:
        """Return such a node, not started."""
        endpoint = endpoint or self._next_endpoint()
        defaults: dict[str, Any] = {
            "bootstrap": [
                each.contact.endpoint if isinstance(each, Node) else each for each in bootstrap
            ],
            "clock": virtual_now,
            "wall_clock": virtual_now,
            "rng": self._streams.stream("node", len(self._cleanups)),
            "transport": self.net.transport(*endpoint),
            "contact_pool": self._pool,
        }
        node = Node(endpoint[1], endpoint[0], **node_arguments(defaults | settings))
        self._cleanups.append(partial(node.close, hand_over=False))
        return node

    def network(self, count: int, **settings: Any) -> list[Node]:
        """Return ``count`` nodes that joined simultaneously, all through the first."""
        first = self.node(**settings)
        others = [self.node(first, **settings) for _ in range(count - 1)]
        assert all(node.wait_joined(30) for node in others)
        return [first, *others]

    def peer(self, node_id: bytes | None = None, endpoint: Endpoint | None = None) -> ScriptedPeer:
        """Return a peer without a node; the test sends and receives its packets."""
        node_id = node_id or random_id(self._streams.stream("peer", len(self._cleanups)))
        peer = ScriptedPeer(self.net.transport(*(endpoint or self._next_endpoint())), node_id)
        self._cleanups.append(peer.close)
        return peer

    @property
    def now(self) -> float:
        """Virtual seconds since the test began."""
        return virtual_now()

    def _next_endpoint(self) -> Endpoint:
        number = len(self._cleanups) + 1
        return f"10.0.{number >> 8}.{number & 255}", 4000

    def _close(self) -> None:
        for cleanup in self._cleanups:
            cleanup()

    def _check_leaks(self) -> None:
        gevent.sleep(1)  # waiting greenlets notice closed nodes; packets in flight arrive
        leaked = leaked_greenlets.locations(gevent.get_hub())
        assert not leaked, "greenlets are left behind:\n" + "\n".join(leaked)
        loop = virtual_loop()
        assert not loop.activecnt, f"timers are left behind: {loop!r}"
        assert not self.net.handler_errors, "a packet handler raised an exception: see the log"
