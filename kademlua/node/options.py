"""NodeOptions: settings of a node beyond its address, its bootstrap nodes and its parameters."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kademlua.core.contact import ContactPool, Endpoint
from kademlua.core.results import PublicationStore
from kademlua.core.values.store import Store
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.transport import Transport

# One for all nodes: it has no state, but each instance takes 2.5 kB.
SYSTEM_RNG = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """Identity, keys, stores and environment of one node; every field has a default."""

    id: bytes | None = None
    """The node's id, 20 bytes; default random."""
    network_keys: Sequence[bytes] = ()
    """Keys of a private network, 32 bytes each. All are accepted; the first signs packets."""
    cached_endpoints: Sequence[Endpoint] = ()
    """Addresses of an earlier run. The node queries them like the bootstrap addresses, but
    counts as joined without an answer."""
    store: Store | None = None
    """Where the node keeps values of the network; default in memory."""
    publication_store: PublicationStore | None = None
    """Where published values survive a restart; default nowhere."""
    clock: Callable[[], float] = boot_clock
    """Seconds that never go back and include the time asleep; the TTL of values is measured by
    it."""
    wall_clock: Callable[[], float] = time.time
    """Seconds since 1970, for expiry times that signers set."""
    rng: random.Random = SYSTEM_RNG
    """The source of all random numbers; default the system's cryptographic source."""
    transport: Transport | None = None
    """Sends and receives datagrams; default UDP."""
    contact_pool: ContactPool | None = None
    """Interns contacts. Nodes of one process may share it, which saves memory."""
