"""One member of a simulated population."""

from __future__ import annotations

import math

from kademlua.core.contact import Endpoint
from kademlua.node.node import Node
from kademlua.simulation.network.traffic_tap import TrafficTap


class PopulationMember:
    """A node of the population; its id and address outlast restarts."""

    __slots__ = (
        "behaviour",
        "endpoint",
        "id",
        "incarnation",
        "is_paused",
        "is_permanent",
        "is_public",
        "joined_at",
        "live_index",
        "node",
        "number",
        "partition_side",
        "tap",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        node_id: bytes,
        endpoint: Endpoint,
        *,
        is_public: bool = True,
        is_permanent: bool = True,
    ) -> None:
        self.number = number
        self.id = node_id
        self.endpoint = endpoint
        self.behaviour = ""
        """The behaviour of a hostile node, one of ``scenario.BEHAVIOURS``; empty if honest."""
        self.is_public = is_public
        self.is_paused = False
        self.is_permanent = is_permanent
        self.partition_side = 0
        """The side of the current or last partition, 0 or 1."""
        self.incarnation = 0
        """The number of starts."""
        self.node: Node | None = None
        """The running node; None while the member is away."""
        self.tap: TrafficTap | None = None
        self.joined_at = math.inf
        """Virtual time of the last join; infinite until then."""
        self.live_index = -1
        """The index in ``Population.live_members``; -1 if not in it."""
