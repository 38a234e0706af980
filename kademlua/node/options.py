"""NodeOptions: settings of a node beyond its address, its bootstrap nodes and its parameters."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kademlua.core.contact import ContactPool, Endpoint
from kademlua.core.results import PublicationStore
from kademlua.core.values.store import Store
from kademlua.crypto.signing import Signer
from kademlua.runtime.clocks import boot_clock
from kademlua.runtime.transport import Transport
from kademlua.values.ownership import UNKNOWN_ADDRESSES, OwnAddresses

# One for all nodes: it has no state, but each instance takes 2.5 kB.
SYSTEM_RNG: Final = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """Identity, keys, stores and environment of one node; every field has a default."""

    id: bytes | None = None
    """The node's id, 20 bytes; default that of ``identity``, or random."""
    identity: Signer | None = None
    """Proves that values are the node's own after its address changed; default none."""
    last_addresses: OwnAddresses = UNKNOWN_ADDRESSES
    """The node's addresses in an earlier run."""
    network_keys: Sequence[bytes] = field(default=(), repr=False)
    """Keys of a private network, 32 bytes each. All decrypt packets, the first encrypts them."""
    cached_endpoints: Sequence[Endpoint] = ()
    """Addresses of an earlier run. The node queries them like the bootstrap addresses, but
    counts as joined without an answer."""
    v10_peers: Mapping[Endpoint, bytes] = field(default_factory=dict)
    """Ids of peers of version 1.0, by endpoint. A client that knows them enters no routing table
    there: see ``PeerVersions.alias_for``."""
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
