"""Observers of a node. A node that has none pays nothing for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.histograms import LatencyHistograms


class LookupObserver:
    """Observes one lookup. Its methods must not block."""

    def on_seeded(self, contacts: list[Contact]) -> None:
        """The lookup starts with these contacts, the closest that are known."""

    def on_query(self, contact: Contact) -> None:
        """A query is sent."""

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        """A reply arrived with these contacts, without those that are known to be dead."""

    def on_failure(self, contact: Contact) -> None:
        """No reply came in time, or a malformed one."""

    def on_finished(self) -> None:
        """The lookup has finished."""


class Observer:
    """Observes one node (``Node.observe``); override the methods of interest.

    The event loop's greenlet calls them. They must not block; an exception is logged and ignored.
    """

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """A lookup starts; return an observer for it, or None.

        ``rpc_name`` is the RPC it uses, ``purpose`` a member of ``Purpose``.
        """
        return None

    def on_lookup_finished(self, rpc_name: str, purpose: str, seconds: float, queries: int) -> None:
        """A lookup has finished, after this time and number of queries."""

    def on_contact_added(self, contact: Contact) -> None:
        """A contact entered the routing table."""

    def on_contact_removed(self, contact: Contact) -> None:
        """A contact left the routing table: it is dead, or its endpoint has another id."""

    def on_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """This node stored a value of ``size`` bytes, bencoded."""


class ObserverSet:
    """The observers of one node."""

    __slots__ = ("_log", "latency_histograms", "registered")

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self.registered: tuple[Observer, ...] = ()
        self.latency_histograms: LatencyHistograms | None = None
        """Latency histograms; None until they are requested."""
        self._log = log

    def add(self, observer: Observer) -> None:
        """Notify an observer from now on."""
        self.registered = (*self.registered, observer)

    def discard(self, observer: Observer) -> None:
        """Stop notifying an observer; ignore an unknown one."""
        self.registered = tuple(each for each in self.registered if each is not observer)

    def begin_lookup(
        self, clock: Callable[[], float], rpc_name: str, target: bytes, purpose: str
    ) -> ObservedLookup | None:
        """Notify observers of a lookup; return None if none wants to observe it further."""
        lookup_observers = []
        wants_finish = False
        for observer in self.registered:
            lookup_observer = self.notify(observer.on_lookup_started, rpc_name, target, purpose)
            if lookup_observer is not None:
                lookup_observers.append(lookup_observer)
            wants_finish = (
                wants_finish or type(observer).on_lookup_finished is not Observer.on_lookup_finished
            )
        if not lookup_observers and not wants_finish:
            return None
        return ObservedLookup(self, clock, rpc_name, purpose, lookup_observers)

    def notify_table_change(self, contact: Contact, *, is_added: bool) -> None:
        """Notify observers that a contact entered or left the table."""
        for observer in self.registered:
            self.notify(
                observer.on_contact_added if is_added else observer.on_contact_removed, contact
            )

    def notify_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """Notify observers of a stored value."""
        for observer in self.registered:
            self.notify(observer.on_value_stored, key, owner, size)

    def notify(self, callback: Callable[..., Any], *args: object) -> Any:
        """Call an observer and return its result; log an exception and return None."""
        try:
            return callback(*args)
        except Exception:
            self._log.exception("an observer failed")
            return None


class ObservedLookup:
    """One lookup and its observers."""

    __slots__ = (
        "_clock",
        "_lookup_observers",
        "_observer_set",
        "_purpose",
        "_replying_contact",
        "_rpc_name",
        "_started_at",
    )

    def __init__(
        self,
        observer_set: ObserverSet,
        clock: Callable[[], float],
        rpc_name: str,
        purpose: str,
        lookup_observers: list[LookupObserver],
    ) -> None:
        self._observer_set = observer_set
        self._clock = clock
        self._rpc_name = rpc_name
        self._purpose = purpose
        self._started_at = clock()
        self._replying_contact: Contact | None = None
        self._lookup_observers = lookup_observers

    def on_seeded(self, contacts: list[Contact]) -> None:
        """Report the first contacts."""
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_seeded, contacts)

    def on_query(self, contact: Contact) -> None:
        """Report a query."""
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_query, contact)

    def on_reply_received(self, contact: Contact) -> None:
        """Remember the sender: decoding the reply may end the lookup."""
        self._replying_contact = contact

    def on_reply_decoded(self, contacts: list[Contact]) -> None:
        """Report the reply unless it was reported."""
        contact, self._replying_contact = self._replying_contact, None
        if contact is not None:
            for each in self._lookup_observers:
                self._observer_set.notify(each.on_reply, contact, contacts)

    def on_failure(self, contact: Contact) -> None:
        """Report a query without a reply."""
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_failure, contact)

    def on_finished(self, queries: int) -> None:
        """Report the end to all observers."""
        self.on_reply_decoded([])
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_finished)
        seconds = self._clock() - self._started_at
        for observer in self._observer_set.registered:
            self._observer_set.notify(
                observer.on_lookup_finished, self._rpc_name, self._purpose, seconds, queries
            )
