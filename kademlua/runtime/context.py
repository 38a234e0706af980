"""Context: what all parts of one node share."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from kademlua.core.contact import AddressFamilies, Contact, ContactPool, Endpoint
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits
from kademlua.core.routing.table import RoutingTable
from kademlua.core.stats import Stats
from kademlua.core.values.store import Store
from kademlua.core.wire.packets import Request
from kademlua.runtime.observers import ObserverSet
from kademlua.runtime.safe_logger import SafeLogger
from kademlua.runtime.transport import Transport


@dataclass(slots=True)
class NodeStatus:
    """What the node knows about its own reachability."""

    is_client: bool
    """Whether the node asks peers to keep it out of their routing tables."""
    reachable: bool | None = None
    """Whether peers can reach the node without being contacted first; None while unknown."""
    external_address: Endpoint | None = None
    """The node's address as peers see it; None while unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The environment and state of one node. Its parts keep no globals."""

    id: bytes
    read_only: bool
    """Whether the node was created as a client; ``is_client`` tells whether it is one now."""
    status: NodeStatus
    params: Params
    clock: Callable[[], float]
    """Seconds that never go back and include the time asleep."""
    wall_clock: Callable[[], float]
    """Seconds since 1970; only the expiry times in signed records use it."""
    rng: random.Random
    """The source of all random numbers, rpc ids included."""
    transport: Transport
    pool: ContactPool
    table: RoutingTable
    diversity_limits: DiversityLimits
    store: Store
    stats: Stats
    observers: ObserverSet
    log: SafeLogger
    """Its records carry the node's id as ``node``."""

    @property
    def local_contact(self) -> Contact:
        """This node as a contact, at the address to which it is bound.

        It never changes: the node recognizes its own values by it. ValueError before the node is
        bound.
        """
        return self.pool.intern(*self.transport.local_endpoint, self.id)

    @property
    def is_client(self) -> bool:
        """Whether peers should keep this node out of tables, by choice or because it is
        unreachable."""
        return self.status.is_client

    def sender_of(self, request: Request, endpoint: Endpoint) -> Contact:
        """Return the sender of a request, which came from this endpoint, as a contact."""
        if request.sender is not None:  # the usual case
            return request.sender
        return self.pool.find(*endpoint, request.sender_id)

    @property
    def address_families(self) -> AddressFamilies:
        """The address families to which the node can send."""
        transport = self.transport
        return AddressFamilies(ipv4=transport.supports_ipv4, ipv6=transport.supports_ipv6)
