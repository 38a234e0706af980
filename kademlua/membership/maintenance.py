"""Maintenance: joining, refreshing and expiring, at regular intervals.

Its greenlet exists only while it works; in between, a timer of the event loop waits.
"""

from __future__ import annotations

from dataclasses import dataclass

import gevent
from gevent import Greenlet

from kademlua.core.errors import KademluaError, NodeClosed
from kademlua.core.reasons import Purpose
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.membership.bootstrap import Bootstrap
from kademlua.membership.joiner import Joiner
from kademlua.membership.reachability import ReachabilityProber
from kademlua.replication.conflict_resolver import ConflictResolver
from kademlua.replication.replicator import Replicator
from kademlua.runtime.context import Context
from kademlua.runtime.timer import Timer
from kademlua.values.publisher import Republisher

_JITTER = 0.2
_DEAD_PROBES = 2
"""Dead contacts that are probed again in each round."""
_REJOIN_INTERVAL = 60.0
"""Seconds between two times of looking up the own id by way of revived contacts, at least."""
_FAR_FILL_INTERVAL = 60.0
"""Seconds between two lookups in far buckets of a network that grew, at least."""
_SMALL_NETWORK = 200
"""Nodes below which a network usually has its nodes in few subnets on purpose."""
_SIZE_SAMPLES = 8
"""Places by which the network's size is estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """The parts of a node that its maintenance drives."""

    bootstrap: Bootstrap
    lookups: LookupService
    liveliness: LivelinessManager
    replicator: Replicator
    republisher: Republisher
    conflict_resolver: ConflictResolver
    reachability: ReachabilityProber


class Maintenance:
    """Keeps one node in its network."""

    def __init__(self, context: Context, upkeep: Upkeep) -> None:
        self._reachability = upkeep.reachability
        self._bootstrap = upkeep.bootstrap
        self._replicator = upkeep.replicator
        self._republisher = upkeep.republisher
        self._conflict_resolver = upkeep.conflict_resolver
        self._liveliness = upkeep.liveliness
        self._lookups = upkeep.lookups
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._rng = context.rng
        self._log = context.log
        self._greenlet: Greenlet[..., None] | None = None
        self._timer = Timer(self._on_timer)
        self._closed = False
        self._size_at_refresh = 0
        """Contacts in the table when the neighbourhood was last refreshed."""
        self._rejoined_at = self._clock() - _REJOIN_INTERVAL
        self._neighbourhood_refreshed_at = self._far_filled_at = self._clock()
        self._buckets_refreshed_at = self._clock()
        self._has_warned_of_limits = self._has_joined_before = False
        self.joiner = Joiner(
            context,
            upkeep.bootstrap,
            upkeep.liveliness,
            on_joined=self._on_joined,
            jittered=self._jittered,
        )

    def start(self) -> None:
        """Join, and run a round of maintenance at each interval from now on."""
        self._republisher.start()
        self._timer.start(self._params.maintenance_interval)
        self.joiner.start()

    def close(self) -> None:
        """Stop, and release everything that waits for the join; idempotent."""
        self._closed = True
        self._timer.stop()
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()
        self._replicator.close()
        self._conflict_resolver.close()
        self._republisher.close()
        self.joiner.close()

    def _run(self) -> None:
        """Do what is due, then set the timer."""
        try:
            self._tick()
        except NodeClosed:
            return
        except KademluaError as error:  # too many calls in flight: the next round retries
            self._log.info("maintenance postponed: %s", error)
        except Exception:  # a defect must not end maintenance for good
            self._log.exception("maintenance failed")
        if not self._closed:
            self._timer.start(self._jittered(self._params.maintenance_interval))

    def _on_timer(self) -> None:
        self._greenlet = gevent.spawn(self._run)

    def _on_joined(self) -> None:
        if self._has_joined_before:  # values may have too few replicas, or none, since the outage
            self._replicator.reschedule_all()
        self._has_joined_before = True
        # Other nodes may have joined at the same time: the first round looks for them.
        self._size_at_refresh = 0
        self._replicator.on_joined()
        self._timer.start(self._jittered(self._params.maintenance_interval))

    def _tick(self) -> None:
        """Run one round of maintenance. Only expiry is due before the node has joined."""
        now = self._clock()
        self._store.expire(now)
        self._store.tombstones.expire(now)
        self.joiner.check_contacts()
        if not self.joiner.is_joined:
            return
        self._liveliness.probe_stale(self._params.maintenance_interval)
        self._liveliness.reprobe_dead(_DEAD_PROBES)
        self._replicator.tick(now)
        self._conflict_resolver.tick(now)
        self._republisher.tick(now)
        self._rejoin_recovered(now)
        if self._reachability.tick(now):  # the neighbours have to learn of this node again
            self._size_at_refresh = 0
        if len(self._table) > 2 * self._size_at_refresh:
            self._refresh_neighbourhood(now)
        self._fill_far_buckets(now)
        self._lookups.update_density()
        self._warn_of_limits()
        if now - self._buckets_refreshed_at >= self._params.refresh_interval / 4:
            self._buckets_refreshed_at = now
            self._refresh_buckets(now)

    def _warn_of_limits(self) -> None:
        """Warn once if limits against Sybil attacks keep contacts of a small network out."""
        if self._has_warned_of_limits or not self._table.subnets.has_refused:
            return
        self._has_warned_of_limits = True
        if (size := self._lookups.network_size()) < _SMALL_NETWORK:
            self._log.warning(
                "limits keep some nodes of a network of about %d out of the routing table; if they"
                " are yours, use a network key, or raise subnet_limit_bucket and"
                " subnet_limit_table%s",
                size,
                ", and give them ids that fit their addresses" if self._params.bep42_ids else "",
            )

    def _rejoin_recovered(self, now: float) -> None:
        """Look up the own id through dead contacts that recovered.

        Several of them may mean that the network was partitioned; they then know nodes that this
        one does not.
        """
        if now - self._rejoined_at < _REJOIN_INTERVAL:
            return
        if recovered := self._liveliness.drain_recovered(_DEAD_PROBES):
            self._rejoined_at = now
            self._bootstrap.join_via([contact.endpoint for contact in recovered])
            self._liveliness.drain_recovered()  # the join covers those that replied meanwhile
            self._replicator.reschedule_all()

    def _refresh_neighbourhood(self, now: float) -> None:
        """Look up the neighbours again, since the network has grown."""
        if self._size_at_refresh:  # older samples are out of date
            self._lookups.size_estimator.reset()
        self._bootstrap.refresh_neighbourhood()
        self._size_at_refresh = len(self._table)
        self._neighbourhood_refreshed_at = now

    def _fill_far_buckets(self, now: float) -> None:
        """Sample the size of a grown network, and fill one far bucket per minute."""
        if len(self._table) <= self._params.k:
            return
        samples = len(self._lookups.size_estimator)
        if samples < _SIZE_SAMPLES:
            self._lookups.sample_density(1 if samples else _SIZE_SAMPLES // 2)
        if now - self._far_filled_at >= _FAR_FILL_INTERVAL:
            self._far_filled_at = now
            self._bootstrap.fill_bucket(self._neighbourhood_refreshed_at)

    def _refresh_buckets(self, now: float) -> None:
        """Refresh the buckets without a lookup for ``Params.refresh_interval`` seconds."""
        before = now - self._jittered(self._params.refresh_interval)
        if self._table.buckets[-1].refreshed_at < before:
            self._lookups.find_node(self._table.local_id, purpose=Purpose.REFRESH)
        self._bootstrap.refresh_buckets(before)

    def _jittered(self, seconds: float) -> float:
        """Return a duration up to a fifth longer or shorter: nodes should not act in step."""
        return seconds * (1 - _JITTER + 2 * _JITTER * self._rng.random())
