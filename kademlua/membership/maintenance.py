"""Upkeep: joining and joining again, refresh, expiry, replication; what is due, and doing it.

Its greenlet lives while it has something to do; between, a timer of the loop waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent
from gevent import Greenlet
from gevent.event import Event

from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.reasons import Purpose
from kademlua.core.values.tombstones import Tombstones
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import Operations
from kademlua.membership.bootstrap import Bootstrap
from kademlua.membership.reachability import Reach
from kademlua.replication.replicator import Replication
from kademlua.runtime.context import Context
from kademlua.values.publisher import Publications

_JITTER = 0.2
_DEAD_ASKED = 2
"""Contacts found dead that are asked again in each round."""
_MEET_EVERY = 60.0
"""Seconds between two times of looking up the own id by way of revived contacts, at least."""
_FARTHER_EVERY = 60.0
"""Seconds between two lookups in far buckets of a network that grew, at least."""
_SAMPLES = 8
"""Places by which the network's size is estimated."""


class Maintenance:
    """Keeps one node in its network."""

    def __init__(
        self,
        context: Context,
        bootstrap: Bootstrap,
        operations: Operations,
        liveliness: LivelinessManager,
        replication: Replication,
        publications: Publications,
        tombstones: Tombstones,
        reach: Reach,
    ) -> None:
        self._reach = reach
        self._bootstrap = bootstrap
        self._replication = replication
        self._publications = publications
        self._tombstones = tombstones
        self._liveliness = liveliness
        self._operations = operations
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._rng = context.rng
        self._log = context.log
        self._greenlet: Greenlet[..., None] | None = None
        self._timer: Any = None
        self._closed = False
        self._size_at_look = 0
        """Contacts in the table when this node last looked around."""
        self._met = self._clock() - _MEET_EVERY
        self._looked_around = self._looked_farther = self._clock()
        self._refreshed = self._clock()
        self._told = Event()
        """Set when there are more addresses to try."""
        self.joined = Event()
        """Set while the node is in a network, or was never told of one."""
        self.tried = Event()
        """Set once the first try to bootstrap has ended, well or not."""

    def start(self) -> None:
        """Begin: bootstrap first, then a round of upkeep every now and then."""
        if not self._bootstrap.is_wanted:
            self.joined.set()
            self.tried.set()
        self._publications.start()
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """End what is under way, and let go of whoever waits for the join. Idempotent."""
        self._closed = True
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._replication.close()
        self._publications.close()
        self.tried.set()
        self.joined.set()  # who waits finds the node closed

    def meet(self, endpoints: Sequence[Endpoint]) -> None:
        """Make use of others who were heard of: by them see more of the network, or join."""
        self._bootstrap.learn(endpoints)
        if self.joined.is_set():
            self._bootstrap.meet(endpoints)
        else:
            self._told.set()

    def _run(self) -> None:
        """What is due now; then set the timer for the next time."""
        try:
            if not self.joined.is_set():
                self._join()
            else:
                self._look_after()
        except NodeClosed:
            return
        except KademluaError as error:  # too busy just now: the next round does it
            self._log.info("upkeep put off: %s", error)
        except Exception:  # a defect must not end a node's upkeep for good
            self._log.exception("upkeep failed")
        if not self._closed:
            params = self._params
            wait = params.settle_interval if self.joined.is_set() else params.bootstrap_retry
            self._timer = gevent.get_hub().loop.timer(self._jittered(wait))
            self._timer.start(self._wake)

    def _wake(self) -> None:
        self._timer.stop()
        self._timer.close()
        self._timer = None
        self._greenlet = gevent.spawn(self._run)

    def _join(self) -> None:
        """Bootstrap until somebody answers, with growing patience."""
        wait = self._params.bootstrap_retry
        has_warned = False
        while not self._bootstrap.join():
            self.tried.set()
            if not self._bootstrap.is_needed:
                break  # nobody is left of those it knew: it is on its own, as when it began
            if not has_warned:
                self._log.warning("nobody answers at the bootstrap addresses; still trying")
                has_warned = True
            self._told.wait(self._jittered(wait))
            self._told.clear()
            wait = min(2 * wait, self._params.bootstrap_retry_max)
        # Others were joining beside it, unseen: the first round of upkeep looks around.
        self._size_at_look = 0
        self._replication.joined()
        self.joined.set()
        self.tried.set()
        self._log.info("joined, %d contacts", len(self._table))

    def _look_after(self) -> None:
        """One round of upkeep."""
        now = self._clock()
        self._store.expire(now)
        self._tombstones.expire(now)
        if len(self._table) == 0 and self._bootstrap.is_needed:
            self._log.warning("all contacts are gone; bootstrapping again")
            self.joined.clear()
            return
        self._liveliness.question_silent(self._params.settle_interval)
        self._liveliness.question_dead(_DEAD_ASKED)
        self._replication.look_after(now)
        self._publications.look_after(now)
        self._meet_revived(now)
        self._reach.look_after(now)
        if self._reach.has_returned:  # those around it are to know it again
            self._reach.has_returned = False
            self._size_at_look = 0
        if len(self._table) > 2 * self._size_at_look:
            self._look_around(now)
        self._look_farther(now)
        self._operations.gauge()
        if now - self._refreshed >= self._params.refresh_interval / 4:
            self._refreshed = now
            self._refresh(now)

    def _meet_revived(self, now: float) -> None:
        """Several who were taken for dead live: perhaps the network was cut, and is not any
        more; then they know whom this node does not."""
        revived = self._liveliness.revived
        if len(revived) >= _DEAD_ASKED and now - self._met >= _MEET_EVERY:
            self._met = now
            self._bootstrap.meet([contact.endpoint for contact in revived])
            revived.clear()
            self._replication.renew()

    def _look_around(self, now: float) -> None:
        """The network grew a lot since this node last saw it: see it anew."""
        if self._size_at_look:  # what it was told since the join is of today
            self._operations.estimate.clear()
        self._bootstrap.look_around()
        self._size_at_look = len(self._table)
        self._looked_around = now

    def _look_farther(self, now: float) -> None:
        """See how large a network is that grew, at some places at once, then at one more in each
        round; and fill its far buckets, one a minute, since those beside it do the same."""
        if len(self._table) <= self._params.k:
            return
        samples = len(self._operations.estimate)
        if samples < _SAMPLES:
            self._operations.sample_size(1 if samples else _SAMPLES // 2)
        if now - self._looked_farther >= _FARTHER_EVERY:
            self._looked_farther = now
            self._bootstrap.fill(self._looked_around)

    def _refresh(self, now: float) -> None:
        """Refresh the buckets in which nothing was looked up for the interval."""
        before = now - self._jittered(self._params.refresh_interval)
        if self._table.buckets[-1].looked_up < before:
            self._operations.find_node(self._table.own_id, cause=Purpose.REFRESH)
        self._bootstrap.refresh(before)

    def _jittered(self, seconds: float) -> float:
        """Somewhat less or more, so that nodes begun together do not act together."""
        return seconds * (1 - _JITTER + 2 * _JITTER * self._rng.random())
