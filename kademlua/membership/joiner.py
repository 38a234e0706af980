"""Joiner: joins a network, and joins it again when all contacts are lost.

Its greenlet exists only until an address has replied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import gevent
from gevent import Greenlet
from gevent.event import Event

from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.liveliness.manager import LivelinessManager
from kademlua.membership.bootstrap import Bootstrap
from kademlua.runtime.context import Context

_POLL_INTERVAL: Final = 1.0
"""Seconds between two looks at the routing table, which contacts may enter by themselves."""


class Joiner:
    """Decides whether one node is joined, and tries until it is."""

    def __init__(
        self,
        context: Context,
        bootstrap: Bootstrap,
        liveliness: LivelinessManager,
        *,
        on_joined: Callable[[], None],
        jittered: Callable[[float], float],
    ) -> None:
        """Prepare; ``on_joined`` is called after each join, ``jittered`` varies a delay."""
        self._bootstrap = bootstrap
        self._liveliness = liveliness
        self._table = context.table
        self._params = context.params
        self._log = context.log
        self._on_joined = on_joined
        self._jittered = jittered
        self._greenlet: Greenlet[..., None] | None = None
        self._closed = False
        self._endpoints_added = Event()
        """Set when there are more addresses to try."""
        self._joined = Event()
        """Set by a join, and cleared when ``rejoin`` finds that all contacts are gone."""
        self.first_attempt_done = Event()
        """Set when the first attempt to join has ended, whatever its outcome."""

    def start(self) -> None:
        """Start to join, if there are addresses to join through."""
        if self._bootstrap.has_endpoints:
            self._greenlet = gevent.spawn(self._run)
        else:
            self._joined.set()
            self.first_attempt_done.set()

    def close(self) -> None:
        """Stop, and release everything that waits for the join; idempotent."""
        self._closed = True
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._bootstrap.close()
        self.first_attempt_done.set()
        self._joined.set()  # waiting callers find the node closed

    @property
    def is_joined(self) -> bool:
        """Whether the node has joined and has contacts, or was given no bootstrap address."""
        return self._joined.is_set() and (len(self._table) > 0 or not self._bootstrap.is_required)

    def wait(self, timeout: float | None) -> None:
        """Block until the node has joined, at most ``timeout`` seconds."""
        self.check_contacts()
        self._joined.wait(timeout)

    def check_contacts(self) -> None:
        """Join again if all contacts are gone, also through the addresses of these contacts."""
        if len(self._table) or self._closed:
            return
        self._bootstrap.add_cached([each.endpoint for each in self._liveliness.drain_dead()])
        if self._bootstrap.is_required and self._joined.is_set():
            self._log.warning("all contacts are gone; bootstrapping again")
            self._joined.clear()
        if self._greenlet is None and self._bootstrap.has_endpoints:
            self._greenlet = gevent.spawn(self._run)

    def add_peers(self, endpoints: Sequence[Endpoint]) -> None:
        """Learn of more nodes: join through them, or look up the own id through them."""
        self._bootstrap.add_cached(endpoints)
        if self._joined.is_set():
            self._bootstrap.join_via(endpoints)
        else:
            self.hurry()

    def hurry(self) -> None:
        """Begin the next attempt now, if the node waits for one."""
        self._endpoints_added.set()

    def _run(self) -> None:
        try:
            self._try_until_answered()
        except NodeClosed:
            return
        finally:
            self._greenlet = None

    def _try_until_answered(self) -> None:
        """Try until an address replies, with increasing delays.

        Contacts may enter the table meanwhile. They are enough to be joined, but an address that
        replies later may know another part of the network.
        """
        wait, has_warned = self._params.bootstrap_retry, False
        while not self._attempt():
            if not len(self._table) and not self._joined.is_set() and not has_warned:
                self._log.warning("no node answers at the bootstrap addresses; still trying")
                has_warned = True
            self.first_attempt_done.set()
            self._wait(self._jittered(wait))
            wait = min(2 * wait, self._params.bootstrap_retry_max)

    def _attempt(self) -> bool:
        """Try once, and return whether an address replied."""
        self._endpoints_added.clear()
        try:
            if len(self._table) and not self._joined.is_set():
                self._bootstrap.join_by_table()
                self._set_joined()
            is_answered = self._bootstrap.join()
        except NodeClosed:
            raise
        except KademluaError as error:  # too many calls in flight
            self._log.info("joining postponed: %s", error)
            return False
        except Exception:  # a defect must not end the attempts for good
            self._log.exception("joining failed")
            return False
        # Without bootstrap addresses the node is alone, as when it started.
        if is_answered or not (self._bootstrap.is_required or self._joined.is_set()):
            self._set_joined()
        return is_answered

    def _set_joined(self) -> None:
        self._on_joined()
        self._joined.set()
        self.first_attempt_done.set()
        count = len(self._table)
        self._log.info("joined, %d contact%s", count, "" if count == 1 else "s")

    def _wait(self, seconds: float) -> None:
        """Wait, but not if there are new addresses, or contacts while the node is not joined."""
        while seconds > 0:
            if len(self._table) and not self._joined.is_set():
                return
            if self._endpoints_added.wait(min(seconds, _POLL_INTERVAL)):
                self._endpoints_added.clear()
                return
            seconds -= _POLL_INTERVAL
