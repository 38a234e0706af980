"""What all parts of one node share: who it is, its table and store, time, chance, the wire."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from kademlua.core.contact import Contact, ContactPool, Endpoint
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits
from kademlua.core.routing.table import RoutingTable
from kademlua.core.stats import Stats
from kademlua.core.values.store import Store
from kademlua.runtime.observers import ObserverSet
from kademlua.runtime.transport import Transport


@dataclass(slots=True)
class NodeStatus:
    """How a node stands towards the others, as far as it has learnt that."""

    is_client: bool
    """Whether it tells others to keep it out of their tables."""
    reachable: bool | None = None
    """Whether others reach it unasked; None while it is not known."""
    external_address: Endpoint | None = None
    """Where others see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One per node, handed to each of its parts; the parts hold no globals."""

    id: bytes
    read_only: bool
    """Whether it was made a client; ``is_client`` tells whether it is one now."""
    status: NodeStatus
    params: Params
    clock: Callable[[], float]
    """Seconds, from any beginning, never backwards."""
    wall_clock: Callable[[], float]
    """Seconds since 1970: only the ends that are signed into records go by it."""
    rng: random.Random
    """All chance, rpc ids included: by default the system's cryptographic source."""
    transport: Transport
    pool: ContactPool
    table: RoutingTable
    diversity_limits: DiversityLimits
    store: Store
    stats: Stats
    observers: ObserverSet
    log: logging.LoggerAdapter[logging.Logger]
    """Records made by it have the id as ``node``, so that logs can be told apart."""

    @property
    def local_contact(self) -> Contact:
        """This node as a contact, at the address that it is bound to; ValueError before it is
        bound to a port. It never changes: by it the node knows its own values."""
        return self.pool.intern(*self.transport.local_endpoint, self.id)

    @property
    def is_client(self) -> bool:
        """Whether this node is to be kept out of tables, by choice or since nobody reaches it."""
        return self.status.is_client

    def contact_for(self, node_id: bytes, endpoint: Endpoint) -> Contact:
        """Whoever sent a request, as a contact."""
        entry = self.table.get(node_id)
        if entry is not None and entry.contact.endpoint == endpoint:  # saves 3 µs
            return entry.contact
        return self.pool.intern(*endpoint, node_id)

    @property
    def address_families(self) -> tuple[bool, bool]:
        """Whether it can send to IPv4, and to IPv6."""
        return self.transport.supports_ipv4, self.transport.supports_ipv6
