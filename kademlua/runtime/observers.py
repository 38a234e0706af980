"""Observers: whoever watches a node at work. While there is none, nobody pays for it.

The node's parts ask whether there is one before they say anything: 20 ns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.histograms import Timings


class LookupObserver:
    """Watches one lookup. Its methods are called as things happen; none may block."""

    def seeded(self, contacts: list[Contact]) -> None:
        """It begins with these contacts, the nearest that are known."""

    def queried(self, contact: Contact) -> None:
        """A query goes out."""

    def answered(self, contact: Contact, told: list[Contact]) -> None:
        """An answer came in, and told of these contacts, those found dead lately left out."""

    def failed(self, contact: Contact) -> None:
        """No answer came in time, or nonsense."""

    def ended(self) -> None:
        """The lookup is over."""


class Observer:
    """Watches one node (``Node.observe``): override what is of interest.

    The methods are called in the event loop's greenlet as things happen. None may block; what
    one raises is logged and goes no further.
    """

    def lookup_began(self, name: str, target: bytes, cause: str) -> LookupObserver | None:
        """A lookup of an id begins, by the RPC ``name``; return who is to watch it, if anybody.

        ``cause`` is what it is for, one of ``Stats.caused``.
        """
        return None

    def lookup_ended(self, name: str, cause: str, seconds: float, queries: int) -> None:
        """A lookup is over that took so many seconds and queries."""

    def contact_entered(self, contact: Contact) -> None:
        """A contact has a place in the routing table now."""

    def contact_left(self, contact: Contact) -> None:
        """A contact lost its place: it is dead, or its endpoint has another id now."""

    def value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """This node keeps a value of so many bytes now, bencoded."""


class Observers:
    """Those who watch one node."""

    __slots__ = ("_log", "all", "timings")

    def __init__(self, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self.all: tuple[Observer, ...] = ()
        self.timings: Timings | None = None
        """Histograms, where somebody wants them. (As an observer they would cost a find 9 µs,
        so 1.)"""
        self._log = log

    def watching(
        self, clock: Callable[[], float], name: str, target: bytes, cause: str
    ) -> WatchedLookup | None:
        """A lookup begins: those who watch it; None where nobody wants to hear more of it, which
        spares a find 7 µs."""
        chosen = []
        wants_end = False
        for each in self.all:
            observer = self.guarded(each.lookup_began, name, target, cause)
            if observer is not None:
                chosen.append(observer)
            wants_end = wants_end or type(each).lookup_ended is not Observer.lookup_ended
        if not chosen and not wants_end:
            return None
        return WatchedLookup(self, clock, name, cause, chosen)

    def table_changed(self, contact: Contact, is_in: bool) -> None:
        """Tell all of a contact that entered or left."""
        for observer in self.all:
            self.guarded(observer.contact_entered if is_in else observer.contact_left, contact)

    def value_stored(self, key: bytes, owner: Contact, size: int) -> None:
        """Tell all of a value that is kept."""
        for observer in self.all:
            self.guarded(observer.value_stored, key, owner, size)

    def guarded(self, tell: Callable[..., Any], *args: object) -> Any:
        """What an observer returns; None where it raised. Its defects are its own."""
        try:
            return tell(*args)
        except Exception:
            self._log.exception("an observer failed")
            return None


class WatchedLookup:
    """One lookup and those who watch it."""

    __slots__ = ("_answering", "_began", "_cause", "_clock", "_name", "_observers", "_watching")

    def __init__(
        self,
        observers: Observers,
        clock: Callable[[], float],
        name: str,
        cause: str,
        watching: list[LookupObserver],
    ) -> None:
        self._observers = observers
        self._clock = clock
        self._name = name
        self._cause = cause
        self._began = clock()
        self._answering: Contact | None = None
        self._watching = watching

    def seeded(self, contacts: list[Contact]) -> None:
        """Tell of the contacts that it begins with."""
        for each in self._watching:
            self._observers.guarded(each.seeded, contacts)

    def queried(self, contact: Contact) -> None:
        """Tell of a query."""
        for each in self._watching:
            self._observers.guarded(each.queried, contact)

    def answering(self, contact: Contact) -> None:
        """An answer is being read: that may end the lookup before it is said what it told."""
        self._answering = contact

    def answered(self, told: list[Contact]) -> None:
        """Tell of the answer, where that was not done yet."""
        contact, self._answering = self._answering, None
        if contact is not None:
            for each in self._watching:
                self._observers.guarded(each.answered, contact, told)

    def failed(self, contact: Contact) -> None:
        """Tell of a query without an answer."""
        for each in self._watching:
            self._observers.guarded(each.failed, contact)

    def ended(self, queries: int) -> None:
        """Tell all of the end."""
        self.answered([])
        for each in self._watching:
            self._observers.guarded(each.ended)
        seconds = self._clock() - self._began
        for observer in self._observers.all:
            self._observers.guarded(
                observer.lookup_ended, self._name, self._cause, seconds, queries
            )
