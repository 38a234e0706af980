"""Node: everything put together, and what a program does with it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType

from gevent.event import Event

from kademlua.core import ids
from kademlua.core.contact import ContactPool, Endpoint, canonical_address
from kademlua.core.errors import NodeClosed
from kademlua.core.params import Params
from kademlua.core.results import Pong, PublicationStore
from kademlua.core.routing.bep42 import generate_id
from kademlua.core.routing.diversity import DiversityLimits
from kademlua.core.routing.table import RoutingTable
from kademlua.core.stats import Stats
from kademlua.core.values.memory_store import MemoryStore
from kademlua.core.values.store import Store
from kademlua.core.values.tombstones import Tombstones
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.membership.bootstrap import Bootstrap
from kademlua.membership.maintenance import Maintenance
from kademlua.membership.reachability import ReachabilityProber
from kademlua.node.node_records import NodeRecords
from kademlua.node.receiver import Receiver
from kademlua.node.records import Recording
from kademlua.replication.handover import Handover
from kademlua.replication.read_repair import ReadRepair
from kademlua.replication.replicator import Replicator
from kademlua.replication.transfer import ValueTransfer
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.server import RpcServer
from kademlua.runtime.context import Context, NodeStatus
from kademlua.runtime.observers import ObserverSet
from kademlua.runtime.private_transport import PrivateTransport
from kademlua.runtime.transport import Transport, UdpTransport
from kademlua.values.publisher import Republisher
from kademlua.values.writer import ValueWriter

__all__ = ["Node", "Pong"]

logger = logging.getLogger("kademlua.node")

# It has no state; but each instance would carry 2.5 kB as if it had.
_SYSTEM_RNG = random.SystemRandom()


class Node(NodeRecords):
    """A node of the network. Its calls block only the greenlet that makes them, and may be
    made from many at once.

    >>> with Node(bootstrap=[("127.0.0.1", 8001)]) as node:
    ...     node.add(sha1("key"), b"value")
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        id: bytes | None = None,
        bootstrap: Iterable[Endpoint] = (),
        known: Iterable[Endpoint] = (),
        params: Params | None = None,
        read_only: bool = False,
        network_keys: Sequence[bytes] = (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        transport: Transport | None = None,
        store: Store | None = None,
        pool: ContactPool | None = None,
        publications: PublicationStore | None = None,
    ) -> None:
        """Nothing is opened before ``start``.

        ``port`` 0 takes a free one; ``host`` is an IP address of this machine, ``::`` for
        IPv4 and IPv6. ``id`` has 20 bytes and is random otherwise. ``bootstrap`` lists
        (host, port) of nodes to join by; hosts may be names. ``known`` are addresses from
        a former life, asked in the same way, but not needed. A ``read_only`` node asks and
        is kept out of everybody's tables. With ``network_keys`` (32 bytes each) it hears only
        who has one of them; the first one tags what it sends. ``clock`` gives seconds,
        ``wall_clock`` those since 1970, ``rng`` all chance (by default the system's cryptographic
        source). Nodes of one process may share a ``pool``, which saves memory. ``publications`` is
        where they outlast it. ValueError for a bad host, port, id or key.
        """
        if id is not None and not ids.is_id(id):
            raise ValueError(f"an id is {ids.ID_BYTES} bytes, not {id!r:.60}")
        if not 0 <= port < 65536:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        params = params or Params()
        rng = rng or _SYSTEM_RNG
        own_id = id or generate_id(host, rng, bep42=params.bep42_ids)
        limits = DiversityLimits.from_params(params)
        stats = Stats(clock())
        transport = transport or UdpTransport(host, port, params)
        keyed = None
        if network_keys:
            keyed = transport = PrivateTransport(transport, network_keys, stats.dropped, rng)
        log = logging.LoggerAdapter(logger, {"node": own_id})
        self._context = context = Context(
            id=own_id,
            read_only=read_only,
            status=NodeStatus(is_client=read_only),
            params=params,
            clock=clock,
            wall_clock=wall_clock,
            rng=rng,
            transport=transport,
            pool=pool if pool is not None else ContactPool(),
            table=RoutingTable(own_id, params.k, clock(), limits),
            diversity_limits=limits,
            store=store if store is not None else MemoryStore(params),
            stats=stats,
            observers=ObserverSet(log),
            log=log,
        )
        self._caller = RpcClient(context)
        if keyed is not None:
            keyed.restart_call = self._caller.restart_call
        self._tombstones = Tombstones()
        self._strangers = AddressValidator(context, self._caller)
        self._handlers = RpcServer(context, self._strangers, self._tombstones)
        self._liveliness = LivelinessManager(context, self._caller, self._strangers)
        self._operations = LookupService(context, self._caller, self._liveliness)
        self._storing = ValueWriter(
            context, self._caller, self._liveliness, self._operations, self._tombstones
        )
        bootstrapper = Bootstrap(
            list(bootstrap),
            context,
            self._caller,
            self._liveliness,
            self._operations,
            list(known),
        )
        handing = ValueTransfer(context, self._caller, self._liveliness, self._tombstones)
        replication = Replicator(context, self._operations, handing)
        self._mending = ReadRepair(context, self._caller, self._liveliness, handing, replication)
        self._recording = Recording(context, self._operations, self._storing, self._mending)
        self._leaving = Handover(context, self._caller, self._liveliness, handing)
        self._handlers.add_builtin(b"lacks", self._mending.handle_lacks)
        self._handlers.add_builtin(b"leave", self._leaving.handle_leave)
        reach = ReachabilityProber(
            context, self._caller, self._liveliness, self._handlers.reply_later
        )
        self._handlers.add_builtin(b"reach", reach.handle_reach)
        self._handlers.add_builtin(b"reached", reach.handle_reached)
        self._publications = Republisher(context, self._storing, publications)
        self._maintenance = Maintenance(
            context,
            bootstrapper,
            self._operations,
            self._liveliness,
            replication,
            self._publications,
            self._tombstones,
            reach,
        )
        self._started = False
        self._ends = False
        self._closed = Event()

    # Beginning and end.

    def start(self) -> None:
        """Bind and begin to answer; returns at once, joining goes on by itself.

        Idempotent. OSError where the port is in use, NodeClosed for a node that was closed.
        """
        if self._ends:
            raise NodeClosed("a closed node does not start again")
        if self._started:
            return
        receiver = Receiver(
            self._context, self._caller, self._strangers, self._handlers, self._liveliness
        )
        self._context.transport.start(receiver.receive)
        self._started = True
        self._maintenance.start()

    def close(self, *, hand_over: bool = True) -> None:
        """Stop, free everything, and end with NodeClosed whatever waits; idempotent.

        Before, for ``Params.handover_timeout`` at most, the values that would fall under their
        replicas are handed over, and those in the routing table are told to forget this node.
        With ``hand_over`` false it is gone at once and without a word, also where another
        greenlet's ``close`` still hands over.
        """
        if self._ends:
            if not hand_over:
                self._leaving.abort()
            return
        self._ends = True
        self._maintenance.close()
        self._mending.close()
        try:
            if hand_over and self._started and not self._context.read_only:
                self._handlers.store_handlers.refuse_new()
                self._leaving.run()
        finally:
            self._liveliness.close()
            self._handlers.close()
            self._caller.close()
            self._context.transport.close()
            self._closed.set()

    def __enter__(self) -> Node:
        """Start, and wait for the first try to join."""
        self.start()
        try:
            self.wait_joined()
        except BaseException:  # __exit__ is not called where this raises
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def wait_joined(self, timeout: float | None = None) -> bool:
        """Block until the node has joined; whether it has.

        Without ``timeout`` until its first try has ended, well or not; with it, as long as
        it goes on trying in so many seconds. NodeClosed for a node that was not started.
        """
        if not self._started:
            raise NodeClosed("the node is not started")
        if timeout is None:
            self._maintenance.first_attempt_done.wait()
        else:
            self._maintenance.joined.wait(timeout)
        return self.joined

    def wait_closed(self) -> None:
        """Block until ``close`` has come to its end."""
        self._closed.wait()

    def add_peers(self, endpoints: Iterable[Endpoint]) -> None:
        """Be told of other nodes: (IP address, port) as in ``bootstrap``, but while it runs.

        Who has not joined tries by them at once; who has looks its neighbourhood up by way
        of them, so that two networks become one. Blocks meanwhile. ValueError for what is no
        IP address, NodeClosed, TooManyCalls.
        """
        self._require_open()
        known = [(canonical_address(addr)[0], port) for addr, port in endpoints]
        self._maintenance.add_peers(known)
