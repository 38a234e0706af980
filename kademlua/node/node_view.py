"""NodeView: what a node is and knows, and how to watch it."""

from __future__ import annotations

from typing import Any

from gevent.event import Event

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import NodeClosed, NotJoined
from kademlua.core.histograms import LatencyHistograms
from kademlua.core.params import Params
from kademlua.core.routing.table import RoutingTable
from kademlua.core.values.store import Store
from kademlua.lookup.service import LookupService
from kademlua.membership.maintenance import Maintenance
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.observers import Observer


class NodeView:
    """The part of ``Node`` that asks nobody."""

    _context: Context
    _caller: RpcClient
    _operations: LookupService
    _maintenance: Maintenance
    _started: bool
    _ends: bool
    """Whether ``close`` was called."""
    _closed: Event

    @property
    def joined(self) -> bool:
        """Whether the node is in a network; one without bootstrap addresses always is."""
        return self._maintenance.joined.is_set() and not self._ends

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._closed.is_set()

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
        """Its address, port and id; ValueError while it has port 0 and is not started.

        Where it is bound to all addresses (``0.0.0.0``, ``::``) it is the one at which others
        see it, as soon as several networks have told it.
        """
        own, seen = self._context.local_contact, self._context.status.external_address
        if seen is None or any(own.address_bytes):
            return own
        return self._context.pool.intern(*seen, own.id)

    @property
    def local_endpoint(self) -> Endpoint:
        """The address and port that it is bound to."""
        return self._context.transport.local_endpoint

    @property
    def reachable(self) -> bool | None:
        """Whether others reach it unasked, as several attempts have shown; None while that is
        not known, or does not matter: among private addresses, and for a client."""
        return self._context.status.reachable

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
            "reachable": self.reachable,
        }

    def calls_in_flight(self) -> dict[str, int]:
        """Its calls to others that have not ended yet, by RPC."""
        return dict(self._caller.in_flight_by_rpc())

    def network_size(self) -> int:
        """About how many nodes the network has, this one included."""
        return self._operations.network_size()

    def timings(self) -> LatencyHistograms:
        """Histograms of round trips and lookups, counted from the first time on that this is
        called: it makes a find by 1 µs dearer."""
        observers = self._context.observers
        if observers.latency_histograms is None:
            observers.latency_histograms = LatencyHistograms()
        return observers.latency_histograms

    def observe(self, observer: Observer) -> None:
        """From now on tell an observer of what happens; while there is one, each call of ours
        costs some microseconds more."""
        observers = self._context.observers
        observers.registered = (*observers.registered, observer)
        self._context.table.on_change = observers.notify_table_change

    def unobserve(self, observer: Observer) -> None:
        """Tell an observer no more; one that is not there does not matter."""
        observers = self._context.observers
        observers.registered = tuple(each for each in observers.registered if each is not observer)
        if not observers.registered:
            self._context.table.on_change = None

    def _require_open(self) -> None:
        if self._ends or not self._started:
            raise NodeClosed("the node is closed" if self._started else "the node is not started")

    def _require_joined(self) -> None:
        self._require_open()
        if not self.joined and not len(self.table):
            raise NotJoined("nobody answers at the bootstrap addresses")
