"""Observers: whoever watches a node at work. While there is none, nobody pays for it.

The node's parts ask whether there is one before they say anything: 20 ns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.histograms import LatencyHistograms


class LookupObserver:
    """Watches one lookup. Its methods are called as things happen; none may block."""

    def on_seeded(self, contacts: list[Contact]) -> None:
        """It begins with these contacts, the nearest that are known."""

    def on_query(self, contact: Contact) -> None:
        """A query goes out."""

    def on_reply(self, contact: Contact, contacts: list[Contact]) -> None:
        """An answer came in, and told of these contacts, those found dead lately left out."""

    def on_failure(self, contact: Contact) -> None:
        """No answer came in time, or nonsense."""

    def on_finished(self) -> None:
        """The lookup is over."""


class Observer:
    """Watches one node (``Node.observe``): override what is of interest.

    The methods are called in the event loop's greenlet as things happen. None may block; what
    one raises is logged and goes no further.
    """

    def on_lookup_started(
        self, rpc_name: str, target: bytes, purpose: str
    ) -> LookupObserver | None:
        """A lookup of an id begins, by the RPC ``rpc_name``; return who is to watch it, if anybody.

        ``purpose`` is what it is for, one of ``Stats.calls_by_purpose``.
        """
        return None

    def on_lookup_finished(self, rpc_name: str, purpose: str, seconds: float, queries: int) -> None:
        """A lookup is over that took so many seconds and queries."""

    def on_contact_added(self, contact: Contact) -> None:
        """A contact has a place in the routing table now."""

    def on_contact_removed(self, contact: Contact) -> None:
        """A contact lost its place: it is dead, or its endpoint has another id now."""

    def on_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """This node keeps a value of so many bytes now, bencoded."""


class ObserverSet:
    """Those who watch one node."""

    __slots__ = ("_log", "latency_histograms", "registered")

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self.registered: tuple[Observer, ...] = ()
        self.latency_histograms: LatencyHistograms | None = None
        """Histograms, where somebody wants them. (As an observer they would cost a find 9 µs,
        so 1.)"""
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
        """A lookup begins: those who watch it; None where nobody wants to hear more of it, which
        spares a find 7 µs."""
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

    def notify_table_change(self, contact: Contact, is_added: bool) -> None:
        """Tell all of a contact that entered or left."""
        for observer in self.registered:
            self.notify(
                observer.on_contact_added if is_added else observer.on_contact_removed, contact
            )

    def notify_value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """Tell all of a value that is kept."""
        for observer in self.registered:
            self.notify(observer.on_value_stored, key, owner, size)

    def notify(self, callback: Callable[..., Any], *args: object) -> Any:
        """What an observer returns; None where it raised. Its defects are its own."""
        try:
            return callback(*args)
        except Exception:
            self._log.exception("an observer failed")
            return None


class ObservedLookup:
    """One lookup and those who watch it."""

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
        """Tell of the contacts that it begins with."""
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_seeded, contacts)

    def on_query(self, contact: Contact) -> None:
        """Tell of a query."""
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_query, contact)

    def on_reply_received(self, contact: Contact) -> None:
        """An answer is being read: that may end the lookup before it is said what it told."""
        self._replying_contact = contact

    def on_reply_decoded(self, contacts: list[Contact]) -> None:
        """Tell of the answer, where that was not done yet."""
        contact, self._replying_contact = self._replying_contact, None
        if contact is not None:
            for each in self._lookup_observers:
                self._observer_set.notify(each.on_reply, contact, contacts)

    def on_failure(self, contact: Contact) -> None:
        """Tell of a query without an answer."""
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_failure, contact)

    def on_finished(self, queries: int) -> None:
        """Tell all of the end."""
        self.on_reply_decoded([])
        for each in self._lookup_observers:
            self._observer_set.notify(each.on_finished)
        seconds = self._clock() - self._started_at
        for observer in self._observer_set.registered:
            self._observer_set.notify(
                observer.on_lookup_finished, self._rpc_name, self._purpose, seconds, queries
            )
