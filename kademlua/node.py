"""Node: everything put together, and what a program does with it."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from gevent.event import Event

from kademlua.bootstrap import Bootstrap
from kademlua.caller import Caller
from kademlua.context import Context
from kademlua.core import ids, payloads
from kademlua.core.arguments import checked_key, checked_ttl, checked_value
from kademlua.core.binding import new_id
from kademlua.core.contact import Contact, ContactPool, Endpoint, canonical_address
from kademlua.core.crowds import CrowdLimits
from kademlua.core.datastore import DataStore, Store
from kademlua.core.errors import NodeClosed, NotJoined
from kademlua.core.params import Params
from kademlua.core.records import SignedRecord
from kademlua.core.routing import RoutingTable
from kademlua.core.sieve import Accept
from kademlua.core.stats import Stats
from kademlua.core.timings import Timings
from kademlua.core.tombstones import Tombstones
from kademlua.finding import Answer
from kademlua.handing import HandingOn
from kademlua.handlers import Handlers, RpcFunction
from kademlua.keyed import KeyedTransport
from kademlua.leaving import Leaving
from kademlua.liveliness import LivelinessManager
from kademlua.maintenance import Maintenance
from kademlua.mending import Mending
from kademlua.observers import Observer, Observers
from kademlua.operations import Operations
from kademlua.placement import StoreReport
from kademlua.publications import Publication, Publications, SavedPublications
from kademlua.receiver import Receiver
from kademlua.recording import Recorded, Recording
from kademlua.replication import Replication
from kademlua.signing import Signer
from kademlua.strangers import Strangers
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
        network_keys: Sequence[bytes] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        transport: Transport | None = None,
        store: Store | None = None,
        pool: ContactPool | None = None,
        publications: SavedPublications | None = None,
    ) -> None:
        """Nothing is opened before ``start``.

        ``port`` 0 takes a free one; ``host`` is an IP address of this machine, ``::`` for
        IPv4 and IPv6. ``id`` has 20 bytes and is random otherwise. ``bootstrap`` lists
        (host, port) of nodes to join by; hosts may be names. ``known`` are addresses from
        a former life, asked in the same way, but not needed. A ``read_only`` node asks and
        is kept out of everybody's tables. With ``network_keys`` (32 bytes each) it hears only
        who has one of them; the first one tags what it sends. ``clock`` gives seconds, ``wall``
        those since 1970, ``rng`` all chance (by default the system's cryptographic source).
        Nodes of one process may share a ``pool``, which saves memory. ``publications`` is where
        they outlast it. ValueError for a bad host, port, id or key.
        """
        if id is not None and not ids.is_id(id):
            raise ValueError(f"an id is {ids.ID_BYTES} bytes, not {id!r:.60}")
        if not 0 <= port < 65536:
            raise ValueError(f"a port is 0 to 65535, not {port}")
        params = params or Params()
        rng = rng or _SYSTEM_RNG
        own_id = id or new_id(host, rng, binds=params.bound_ids)
        limits = CrowdLimits.of(params)
        stats = Stats(clock())
        transport = transport or UdpTransport(host, port, params)
        keyed = None
        if network_keys:
            keyed = transport = KeyedTransport(transport, network_keys, stats.dropped, rng)
        log = logging.LoggerAdapter(logger, {"node": own_id})
        self._context = context = Context(
            id=own_id,
            read_only=read_only,
            params=params,
            clock=clock,
            wall=wall,
            rng=rng,
            transport=transport,
            pool=pool if pool is not None else ContactPool(),
            table=RoutingTable(own_id, params.k, clock(), limits),
            limits=limits,
            store=store if store is not None else DataStore(params),
            stats=stats,
            observers=Observers(log),
            log=log,
        )
        self._caller = Caller(context)
        if keyed is not None:
            keyed.in_flight = self._caller.in_flight
        self._tombstones = Tombstones()
        self._strangers = Strangers(context, self._caller)
        self._handlers = Handlers(context, self._strangers, self._tombstones)
        self._liveliness = LivelinessManager(context, self._caller, self._strangers)
        self._operations = Operations(context, self._caller, self._liveliness, self._tombstones)
        bootstrapper = Bootstrap(
            list(bootstrap),
            context,
            self._caller,
            self._liveliness,
            self._operations,
            list(known),
        )
        handing = HandingOn(context, self._caller, self._liveliness, self._tombstones)
        replication = Replication(context, self._operations, handing)
        self._mending = Mending(context, self._caller, self._liveliness, handing, replication)
        self._recording = Recording(context, self._operations, self._mending)
        self._leaving = Leaving(context, self._caller, self._liveliness, handing)
        self._handlers.answer(b"lacks", self._mending.lacks)
        self._handlers.answer(b"leave", self._leaving.farewell)
        self._publications = Publications(context, self._operations, publications)
        self._maintenance = Maintenance(
            context,
            bootstrapper,
            self._operations,
            self._liveliness,
            replication,
            self._publications,
            self._tombstones,
        )
        self._started = False
        self._ends = False
        """Whether ``close`` was called."""
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

        Before, for ``Params.leave_timeout`` at most, the values that would fall under their
        replicas are handed over, and those in the routing table are told to forget this node.
        With ``hand_over`` false it is gone at once and without a word, also where another
        greenlet's ``close`` still hands over.
        """
        if self._ends:
            if not hand_over:
                self._leaving.cut()
            return
        self._ends = True
        self._maintenance.close()
        self._mending.close()
        try:
            if hand_over and self._started and not self._context.read_only:
                self._handlers.holder.leave()
                self._leaving.leave()
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
            self._maintenance.tried.wait()
        else:
            self._maintenance.joined.wait(timeout)
        return self.joined

    def wait_closed(self) -> None:
        """Block until ``close`` has come to its end."""
        self._closed.wait()

    def meet(self, endpoints: Iterable[Endpoint]) -> None:
        """Be told of other nodes: (IP address, port) as in ``bootstrap``, but while it runs.

        Who has not joined tries by them at once; who has looks its neighbourhood up by way
        of them, so that two networks become one. Blocks meanwhile. ValueError for what is no
        IP address, NodeClosed, TooManyCalls.
        """
        self._require_open()
        known = [(canonical_address(addr)[0], port) for addr, port in endpoints]
        self._maintenance.meet(known)

    @property
    def joined(self) -> bool:
        """Whether the node is in a network; one without bootstrap addresses always is."""
        return self._maintenance.joined.is_set() and not self._ends

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

    # What it is and knows.

    @property
    def now(self) -> float:
        """The time by its clock, to which the times in its table and store are to be compared."""
        return self._context.clock()

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

    def calls_in_flight(self) -> dict[str, int]:
        """Its calls to others that have not ended yet, by RPC."""
        return dict(self._caller.in_flight_by_rpc())

    def network_size(self) -> int:
        """About how many nodes the network has, this one included."""
        return self._operations.network_size()

    def timings(self) -> Timings:
        """Histograms of round trips and lookups, counted from the first time on that this is
        called: it makes a find by 1 µs dearer."""
        observers = self._context.observers
        if observers.timings is None:
            observers.timings = Timings()
        return observers.timings

    def observe(self, observer: Observer) -> None:
        """From now on tell an observer of what happens; while there is one, each call of ours
        costs some microseconds more."""
        observers = self._context.observers
        observers.all = (*observers.all, observer)
        self._context.table.changed = observers.table_changed

    def unobserve(self, observer: Observer) -> None:
        """Tell an observer no more; one that is not there does not matter."""
        observers = self._context.observers
        observers.all = tuple(each for each in observers.all if each is not observer)
        if not observers.all:
            self._context.table.changed = None

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
        own. Whatever it raises is answered with 131. ValueError for a name that is taken,
        TypeError for a coroutine function.
        """
        self._handlers.register(name, function, blocking=blocking)

    # The network's operations.

    def find_node(self, target: bytes) -> list[Contact]:
        """The k live contacts closest to an id, nearest first. Raises as ``add`` does."""
        self._require_joined()
        return self._operations.find_node(checked_key(target)).closest()

    def find_value(
        self,
        key: bytes,
        answers: int = 3,
        per_node: int = 4096,
        *,
        quorum: int = 1,
        accept: Accept | None = None,
        paths: int | None = None,
    ) -> list[Answer]:
        """The values of a key, from up to ``answers`` nodes, up to ``per_node`` of each.

        With a ``quorum`` only values that at least so many nodes have, and the search goes on
        until there is one. ``accept`` is given the plain values of an answer and returns those
        that are to be believed; a node without any counts as one that has none. With
        ``paths``, by default ``Params.paths``, nodes are sought on so many disjoint paths. An
        empty list where the k closest nodes have none. Holders that were seen to lack it are
        given it in the background. Raises as ``add`` does.
        """
        self._require_joined()
        paths = paths or self.params.paths
        sieve = self._operations.sieve(checked_key(key), accept=accept)
        finding = self._operations.find_value(key, answers, per_node, quorum, sieve, paths)
        self._mending.follow(finding)
        return finding.result()

    def add(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store this node's value of a key, beside those of others; its former one goes.

        The value is an int, bytes, text, list or dict. It lives for ``ttl`` seconds, by
        default ``Params.ttl``. Raises StoreFailed where fewer than ``Params.write_quorum``
        took it, NotJoined, TooManyCalls, NodeClosed, and TypeError or ValueError for a bad
        key, value or ttl.
        """
        return self.store(key, value, ttl=ttl)

    def overwrite(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """As ``add``; and where the holders' ``Params`` allow it, other owners' values of
        the key go too."""
        return self.store(key, value, ttl=ttl, overwrite=True)

    def store(
        self, key: bytes, value: Any, *, ttl: float | None = None, overwrite: bool = False
    ) -> StoreReport:
        """``add``, or ``overwrite``, as the last argument says."""
        publication = self._publication(key, value, ttl)
        self._require_joined()
        return self._operations.store(*publication, overwrite=overwrite)

    def publish(self, key: bytes, value: Any, *, ttl: float | None = None) -> StoreReport:
        """Store a value and keep it alive until ``unpublish``, while this node lives: it is
        stored again before ``ttl`` is over. Raises as ``add`` does; then it is not published.
        """
        publication = self._publication(key, value, ttl)
        self._require_joined()
        return self._publications.publish(publication)

    def unpublish(self, key: bytes) -> bool:
        """Let a published value end with its time; whether it was published."""
        return self._publications.unpublish(checked_key(key))

    def published(self) -> list[Publication]:
        """What this node publishes."""
        return self._publications.all()

    def remove(self, key: bytes) -> StoreReport:
        """Take this node's own value of a key away from all who hold it; it is not published
        any more, either. Those that could not be reached learn it when they hand it on.

        Raises StoreFailed where nobody answered, and otherwise as ``add`` does.
        """
        self._require_joined()
        self._publications.unpublish(checked_key(key))
        return self._operations.remove(key, checked_ttl(None, self.params))

    # Records that prove themselves.

    def put_immutable(self, value: Any, *, ttl: float | None = None) -> Recorded:
        """Store a value under the SHA-1 of its bencoding, which ``Recorded.key`` tells.

        Whoever finds it there can tell that it is the one. Raises as ``add`` does.
        """
        seconds = checked_ttl(ttl, self.params)
        self._require_joined()
        return self._recording.put_immutable(value, seconds)

    def get_immutable(self, key: bytes, *, paths: int | None = None) -> Any:
        """The value whose bencoding has this SHA-1; KeyError where no node has it. ``paths`` as
        in ``find_value``. Raises as ``add`` does."""
        self._require_joined()
        return self._recording.get_immutable(checked_key(key), paths)

    def put_signed(
        self,
        value: Any,
        signer: Signer,
        *,
        salt: bytes = b"",
        seq: int | None = None,
        cas: int | None = None,
        ttl: float | None = None,
        expires: float | None = None,
    ) -> Recorded:
        """Store a signed record, in place of those of this key with lower sequence numbers.

        ``signer`` is a SigningKey or the like; ``salt``, up to 64 bytes, tells its records
        apart; ``seq`` is the sequence number, by default the next after the one that is found.
        With ``cas``, holders take it only in place of the record of that number. ``ttl`` is how
        many seconds they keep it, by default until ``expires``; that is seconds since 1970,
        signed, and nobody shows the record any more then.

        Raises, where more nodes said so than took it, RecordStale, SwapRefused or
        RecordExpired; CryptoMissing; and as ``add`` does.
        """
        seconds = None if ttl is None else checked_ttl(ttl, self.params)
        self._require_joined()
        return self._recording.put_signed(
            value,
            signer,
            salt=salt,
            seq=seq,
            swaps=cas,
            ttl=seconds,
            expires=None if expires is None else math.floor(expires),
        )

    def get_signed(
        self,
        public_key: bytes,
        salt: bytes = b"",
        *,
        answers: int | None = None,
        least_seq: int = 0,
        paths: int | None = None,
    ) -> SignedRecord | None:
        """The newest record of a public key and a salt; None where there is none.

        All of the k closest nodes are asked; with ``answers`` no more than until so many have
        shown a genuine one. ``paths`` as in ``find_value``: 4 are a good number where nodes are
        hostile. Where nothing but records are found that are not believed, raises
        RecordForged, RecordExpired, or RecordStale for sequence numbers below ``least_seq``;
        CryptoMissing; and as ``add`` does.
        """
        self._require_joined()
        return self._recording.get_signed(
            public_key, salt, answers=answers, least_seq=least_seq, paths=paths
        )

    def _publication(self, key: bytes, value: Any, ttl: float | None) -> Publication:
        encoded = checked_value(value, self.params)
        return Publication(checked_key(key), encoded, checked_ttl(ttl, self.params))

    def _call(
        self, to: Contact | Endpoint, name: str, args: bytes, timeout: float | None
    ) -> tuple[Contact, list[Any]]:
        self._require_open()
        if isinstance(to, Contact):
            return self._caller.call(to.endpoint, to, name, args, timeout)
        return self._caller.call(to, None, name, args, timeout)

    def _require_open(self) -> None:
        if self._ends or not self._started:
            raise NodeClosed("the node is closed" if self._started else "the node is not started")

    def _require_joined(self) -> None:
        self._require_open()
        if not self.joined and not len(self.table):
            raise NotJoined("nobody answers at the bootstrap addresses")
