"""One member of a simulated population."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kademlua.core.contact import Endpoint
from kademlua.node.node import Node
from kademlua.simulation.network.traffic_tap import TrafficTap


@dataclass(slots=True, eq=False)
class PopulationMember:
    """A node of the population; its id and address outlast restarts."""

    number: int
    id: bytes
    endpoint: Endpoint
    behaviour: str = ""
    """The behaviour of a hostile node, one of ``scenario.BEHAVIOURS``; empty if honest."""
    is_public: bool = True
    is_permanent: bool = True
    is_paused: bool = False
    partition_side: int = 0
    """The side of the current or last partition, 0 or 1."""
    incarnation: int = 0
    """The number of starts."""
    node: Node | None = None
    """The running node; None while the member is away."""
    tap: TrafficTap | None = None
    joined_at: float = math.inf
    """Virtual time of the last join; infinite until then."""

    @property
    def live_node(self) -> Node:
        """The running node of a member that is not away."""
        assert self.node is not None
        return self.node
