"""A world for one test: virtual time, a virtual network, and nodes and peers on it.

The fixture ``world`` lets the whole test run in it; what is there ends with the test.
"""

from __future__ import annotations

import gc
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
from kademlua.simulation.network.latency import ConstantLatency
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.rng_streams import RngStreams
from tests.support.peers import ScriptedPeer

ONE_WAY = 0.05
"""Seconds that each packet takes."""
RTT = 2 * ONE_WAY
TIMER_SLACK = 0.005
"""Seconds by which a node may be late to see that a call's time is over."""
UNUSED_ENDPOINT: Endpoint = ("10.255.0.1", 9)
"""Where nobody is."""


def approx_time(seconds: float, timers: int = 1) -> Any:
    """What a time is equal to at which so many of a node's timers went off, one after the
    other: never too soon, and each with a grain of delay at most."""
    return pytest.approx(seconds + timers * TIMER_SLACK / 2, abs=timers * TIMER_SLACK / 2 + 1e-9)


def node_arguments(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Node`` for settings by name: options go into NodeOptions."""
    names = {field.name for field in fields(NodeOptions)}
    options = {name: value for name, value in settings.items() if name in names}
    others = {name: value for name, value in settings.items() if name not in names}
    return others | {"options": NodeOptions(**options)}


class World:
    """To be used inside of ``run`` only."""

    def __init__(self, seed: int = 1) -> None:
        self._streams = RngStreams(seed)
        self._pool = ContactPool()
        self._cleanups: list[Callable[[], None]] = []
        self.net = VirtualNetwork(self._streams, ConstantLatency(ONE_WAY))
        """For what befalls packets: its conditions, partitions, pauses, NAT."""

    def run(self, test: Callable[[], object]) -> None:
        """Run a test on virtual time; fail it where nodes leave anything behind."""

        def main() -> None:
            try:
                test()
            finally:
                self._close()
            self._check_leaks()

        # The greenlets that are left are sought among all objects: here among the test's own,
        # which saves 30 ms.
        gc.freeze()
        try:
            run_virtual(main)
        finally:
            gc.unfreeze()

    # Who is there.

    @cached_property
    def alice(self) -> Node:
        """A node that knows nobody."""
        return self.node()

    @cached_property
    def bob(self) -> Node:
        """Another that knows nobody, nor does anybody know it."""
        return self.node()

    def node(
        self, *bootstrap: Node | Endpoint, endpoint: Endpoint | None = None, **settings: Any
    ) -> Node:
        """A node that is started, and told of these; ``endpoint`` an address of one's choice."""
        node = self.unstarted_node(*bootstrap, endpoint=endpoint, **settings)
        node.start()
        return node

    def unstarted_node(
        self, *bootstrap: Node | Endpoint, endpoint: Endpoint | None = None, **settings: Any
    ) -> Node:
        """The same, not started yet."""
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
        """So many nodes that joined at the same time, all by way of the first."""
        first = self.node(**settings)
        others = [self.node(first, **settings) for _ in range(count - 1)]
        assert all(node.wait_joined(30) for node in others)
        return [first, *others]

    def peer(self, node_id: bytes | None = None, endpoint: Endpoint | None = None) -> ScriptedPeer:
        """A peer that is no node: the test plays every byte."""
        node_id = node_id or random_id(self._streams.stream("peer", len(self._cleanups)))
        peer = ScriptedPeer(self.net.transport(*(endpoint or self._next_endpoint())), node_id)
        self._cleanups.append(peer.close)
        return peer

    # Time.

    @property
    def now(self) -> float:
        """Virtual seconds since the test began."""
        return virtual_now()

    # The end.

    def _next_endpoint(self) -> Endpoint:
        number = len(self._cleanups) + 1
        return f"10.0.{number >> 8}.{number & 255}", 4000

    def _close(self) -> None:
        for cleanup in self._cleanups:
            cleanup()

    def _check_leaks(self) -> None:
        gevent.sleep(1)  # who waited for a node learns of its end; packets under way arrive
        leaked = leaked_greenlets.locations(gevent.get_hub())
        assert not leaked, "greenlets are left behind:\n" + "\n".join(leaked)
        loop = virtual_loop()
        assert not loop.activecnt, f"timers are left behind: {loop!r}"
        assert not self.net.handler_errors, "a node or peer raised at a packet: see the log"
