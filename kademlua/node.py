"""Node: everything put together, and what a program does with it."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, NamedTuple

from gevent.event import Event

from kademlua.bootstrap import Bootstrap
from kademlua.caller import Caller
from kademlua.context import Context
from kademlua.core import ids, payloads
from kademlua.core.binding import bound_id
from kademlua.core.contact import Contact, ContactPool, Endpoint, canonical_address, is_private
from kademlua.core.crowds import CrowdLimits
from kademlua.core.datastore import DataStore, Store
from kademlua.core.errors import NodeClosed, NotJoined
from kademlua.core.params import Params
from kademlua.core.routing import RoutingTable
from kademlua.core.stats import Stats
from kademlua.handlers import Handlers, RpcFunction
from kademlua.liveliness import LivelinessManager
from kademlua.maintenance import Maintenance
from kademlua.operations import Accept, Answer, Operations
from kademlua.placement import StoreReport
from kademlua.receiver import Receiver
from kademlua.transport import Transport, UdpTransport

logger = logging.getLogger(__name__)

# It has no state; but each instance would carry 2.5 kB as if it had.
_SYSTEM_RNG = random.SystemRandom()


class Pong(NamedTuple):
    """An answer to a ping: who answered, and after how many seconds."""

    contact: Contact
    seconds: float


class Node:
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
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        transport: Transport | None = None,
        store: Store | None = None,
        pool: ContactPool | None = None,
    ) -> None:
        """Nothing is opened before ``start``.

        ``port`` 0 takes a free one; ``host`` is an IP address of this machine, ``::`` for
        IPv4 and IPv6. ``id`` has 20 bytes and is random otherwise. ``bootstrap`` lists
        (host, port) of nodes to join by; hosts may be names. ``known`` are addresses from
        a former life, asked in the same way, but not needed. A ``read_only`` node asks and
        is kept out of everybody's tables. ``clock`` gives seconds, ``rng`` all chance (by
        default the system's cryptographic source). Nodes of one process may share a
        ``pool``, which saves memory. ValueError for a bad host, port or id.
        """
        if id is not None and not ids.is_id(id):
            raise ValueError(f"an id is {ids.ID_BYTES} bytes, not {id!r:.60}")
        if not 0 <= port < 65536:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        params = params or Params()
        rng = rng or _SYSTEM_RNG
        own_id = id or _new_id(host, params, rng)
        limits = CrowdLimits.of(params)
        self._context = context = Context(
            id=own_id,
            read_only=read_only,
            params=params,
            clock=clock,
            rng=rng,
            transport=transport or UdpTransport(host, port, params),
            pool=pool if pool is not None else ContactPool(),
            table=RoutingTable(own_id, params.k, clock(), limits),
            limits=limits,
            store=store if store is not None else DataStore(params),
            stats=Stats(clock()),
            log=logging.LoggerAdapter(logger, {"node": own_id}),
        )
        self._caller = Caller(context)
        self._handlers = Handlers(context)
        self._liveliness = LivelinessManager(context, self._caller)
        self._operations = Operations(context, self._caller, self._liveliness)
        bootstrapper = Bootstrap(
            list(bootstrap),
            context,
            self._caller,
            self._liveliness,
            self._operations,
            list(known),
        )
        self._maintenance = Maintenance(context, bootstrapper, self._operations, self._liveliness)
        self._started = False
        self._closed = Event()

    # Beginning and end.

    def start(self) -> None:
        """Bind and begin to answer; returns at once, joining goes on by itself.

        Idempotent. OSError where the port is in use, NodeClosed for a node that was closed.
        """
        if self._closed.is_set():
            raise NodeClosed("a closed node does not start again")
        if self._started:
            return
        receiver = Receiver(self._context, self._caller, self._handlers, self._liveliness)
        self._context.transport.start(receiver.receive)
        self._started = True
        self._maintenance.start()

    def close(self) -> None:
        """Stop, free everything, and end with NodeClosed whatever waits; idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._maintenance.close()
        self._liveliness.close()
        self._handlers.close()
        self._caller.close()
        self._context.transport.close()

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
            self._maintenance.tried.wait()
        else:
            self._maintenance.joined.wait(timeout)
        return self.joined

    def wait_closed(self) -> None:
        """Block until ``close``."""
        self._closed.wait()

    @property
    def joined(self) -> bool:
        """Whether the node is in a network; one without bootstrap addresses always is."""
        return self._maintenance.joined.is_set() and not self._closed.is_set()

    # What it is and knows.

    @property
    def id(self) -> bytes:
        """Its 20 bytes."""
        return self._context.id

    @property
    def contact(self) -> Contact:
        """Its address, port and id; ValueError while it has port 0 and is not started."""
        return self._context.contact

    @property
    def params(self) -> Params:
        """Its parameters."""
        return self._context.params

    @property
    def table(self) -> RoutingTable:
        """Its routing table, to look at."""
        return self._context.table

    @property
    def datastore(self) -> Store:
        """The values that it keeps for the network."""
        return self._context.store

    def stats(self) -> dict[str, Any]:
        """What it counted so far, its contacts and values: plain numbers by name."""
        context = self._context
        return context.stats.snapshot(context.clock()) | {
            "contacts": len(context.table),
            "values": len(context.store),
            "calls_in_flight": len(self._caller),
            "network_size": self.network_size(),
        }

    def network_size(self) -> int:
        """About how many nodes the network has, this one included."""
        return self._operations.network_size()

    # One RPC to one node.

    def call(
        self, to: Contact | Endpoint, name: str, *args: Any, timeout: float | None = None
    ) -> list[Any]:
        """Call an RPC and block until its answer: the list of its return values.

        Arguments are ints, bytes, text, lists and dicts. Raises RpcTimeout, RpcFailed,
        WireError, TooManyCalls, NodeClosed; TypeError and ValueError for arguments that
        can't be sent.
        """
        return self._call(to, name, payloads.args_any(args), timeout)[1]

    def ping(self, to: Contact | Endpoint, timeout: float | None = None) -> Pong:
        """Ping once: who answers there, and the round trip. Raises as ``call`` does."""
        began = self._context.clock()
        contact, _ = self._call(to, "ping", b"", timeout)
        return Pong(contact, self._context.clock() - began)

    def is_alive(self, contact: Contact, *, strong: bool = False) -> bool:
        """Whether a contact lives: heard from lately, or else (always, with ``strong``)
        answering a ping now, in three tries."""
        if not strong and self._liveliness.is_fresh(contact):
            return True
        self._require_open()
        return self._liveliness.is_alive(contact)

    def register(self, name: str, function: RpcFunction, *, blocking: bool = False) -> None:
        """Answer the RPC ``name`` with ``function(sender, *args)``.

        ``sender`` is a Contact. A tuple goes back as several return values, None as none.
        A function that waits for anything must be ``blocking``: it gets a greenlet of its
        own. Whatever it raises is answered with 131. ValueError for a name that is taken.
        """
        self._handlers.register(name, function, blocking=blocking)

    # The network's operations.

    def find_node(self, target: bytes) -> list[Contact]:
        """The k live contacts closest to an id, nearest first. Raises as ``add`` does."""
        self._require_joined()
        return self._operations.find_node(_checked(target)).closest()

    def find_value(
        self,
        key: bytes,
        answers: int = 3,
        per_node: int = 4096,
        *,
        accept: Accept | None = None,
        paths: int | None = None,
    ) -> list[Answer]:
        """The values of a key, from up to ``answers`` nodes, up to ``per_node`` of each.

        ``accept``, where values prove themselves, is given those of an answer and returns
        those that do; an answer without any counts as none. With ``paths``, by default
        ``Params.paths``, nodes are sought on so many disjoint paths. An empty list where the
        k closest nodes have none. Raises as ``add`` does.
        """
        self._require_joined()
        paths = paths or self.params.paths
        return self._operations.find_value(_checked(key), answers, per_node, accept, paths)

    def add(self, key: bytes, value: Any) -> StoreReport:
        """Store this node's value of a key, beside those of others; its former one goes.

        The value is an int, bytes, text, list or dict. Raises StoreFailed where nobody
        took it, NotJoined, TooManyCalls, NodeClosed, and TypeError or ValueError for a bad
        key or value.
        """
        return self.store(key, value)

    def overwrite(self, key: bytes, value: Any) -> StoreReport:
        """As ``add``; and where the holders' ``Params`` allow it, other owners' values of
        the key go too."""
        return self.store(key, value, overwrite=True)

    def store(self, key: bytes, value: Any, *, overwrite: bool = False) -> StoreReport:
        """``add``, or ``overwrite``, as the last argument says."""
        encoded = payloads.encode_value(value)
        if len(encoded) > self.params.max_value_bytes:
            raise ValueError(f"a value has at most {self.params.max_value_bytes:,} bytes, bencoded")
        self._require_joined()
        return self._operations.store(_checked(key), encoded, overwrite=overwrite)

    def _call(
        self, to: Contact | Endpoint, name: str, args: bytes, timeout: float | None
    ) -> tuple[Contact, list[Any]]:
        self._require_open()
        if isinstance(to, Contact):
            return self._caller.call(to.endpoint, to, name, args, timeout)
        return self._caller.call(to, None, name, args, timeout)

    def _require_open(self) -> None:
        if self._closed.is_set() or not self._started:
            raise NodeClosed("the node is closed" if self._started else "the node is not started")

    def _require_joined(self) -> None:
        self._require_open()
        if not self.joined and not len(self.table):
            raise NotJoined("nobody answers at the bootstrap addresses")


def _new_id(host: str, params: Params, rng: random.Random) -> bytes:
    """An id of its own, bound to a public address where it has to be."""
    if params.bound_ids:
        raw = canonical_address(host)[1]
        if any(raw) and not is_private(raw):
            return bound_id(raw, rng)
    return ids.random_id(rng)


def _checked(key: object) -> bytes:
    """An id as given by a program; TypeError or ValueError where it is none."""
    if not isinstance(key, bytes):
        raise TypeError(f"a key is {ids.ID_BYTES} bytes (sha1(text) makes one), not {key!r:.60}")
    if len(key) != ids.ID_BYTES:
        raise ValueError(f"a key has {ids.ID_BYTES} bytes, not {len(key)}")
    return key
