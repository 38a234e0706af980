"""Upkeep: joining and joining again, refresh of buckets, expiry; what is due, and doing it."""

from __future__ import annotations

import logging

import gevent
from gevent import Greenlet
from gevent.event import Event

from kademlua.bootstrap import Bootstrap
from kademlua.context import Context
from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.ids import random_id
from kademlua.operations import Operations

logger = logging.getLogger(__name__)

_JITTER = 0.2


class Maintenance:
    """The greenlet that keeps one node in its network."""

    def __init__(self, context: Context, bootstrap: Bootstrap, operations: Operations) -> None:
        self._bootstrap = bootstrap
        self._operations = operations
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._rng = context.rng
        self._greenlet: Greenlet[..., None] | None = None
        self._size_at_look = 0
        """Contacts in the table when this node last looked around."""
        self._refreshed = self._clock()
        self.joined = Event()
        """Set while the node is in a network, or was never told of one."""
        self.tried = Event()
        """Set once the first try to bootstrap has ended, well or not."""

    def start(self) -> None:
        """Spawn the greenlet; it bootstraps first."""
        if not self._bootstrap.is_wanted:
            self.joined.set()
            self.tried.set()
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """End the greenlet, and let go of whoever waits for the join. Idempotent."""
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self.tried.set()

    def _run(self) -> None:
        while True:
            try:
                if not self.joined.is_set():
                    self._join()
                else:
                    gevent.sleep(self._jittered(self._params.settle_interval))
                    self._look_after()
            except NodeClosed:
                return
            except KademluaError as error:  # too busy just now: the next round does it
                logger.info("upkeep put off: %s", error)
                gevent.sleep(self._params.bootstrap_retry)

    def _join(self) -> None:
        """Bootstrap until somebody answers, with growing patience."""
        wait = self._params.bootstrap_retry
        has_warned = False
        while not self._bootstrap.join():
            self.tried.set()
            if not has_warned:
                logger.warning("nobody answers at the bootstrap addresses; still trying")
                has_warned = True
            gevent.sleep(self._jittered(wait))
            wait = min(2 * wait, self._params.bootstrap_retry_max)
        self._size_at_look = len(self._table)
        self.joined.set()
        self.tried.set()
        logger.info("joined, %d contacts", len(self._table))

    def _look_after(self) -> None:
        """One round of upkeep."""
        now = self._clock()
        self._store.expire(now)
        if len(self._table) == 0 and self._bootstrap.is_wanted:
            logger.warning("all contacts are gone; bootstrapping again")
            self.joined.clear()
            return
        if len(self._table) >= 2 * max(self._size_at_look, 1):
            self._look_around()
        if now - self._refreshed >= self._params.refresh_interval / 4:
            self._refreshed = now
            self._refresh(now)

    def _look_around(self) -> None:
        """The network grew a lot since this node last saw it: see the neighbours anew."""
        self._operations.find_node(self._table.own_id)
        for _ in range(4):
            self._operations.find_node(random_id(self._rng))
        self._size_at_look = len(self._table)

    def _refresh(self, now: float) -> None:
        """Refresh the buckets in which nothing was looked up for the interval."""
        before = now - self._jittered(self._params.refresh_interval)
        if self._table.buckets[-1].looked_up < before:
            self._operations.find_node(self._table.own_id)
        self._bootstrap.refresh(before, even_full=True)

    def _jittered(self, seconds: float) -> float:
        """Somewhat less or more, so that nodes begun together do not act together."""
        return seconds * (1 - _JITTER + 2 * _JITTER * self._rng.random())
