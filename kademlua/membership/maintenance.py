"""Maintenance: joining, refreshing and expiring, at regular intervals.

A timer of the event loop starts beats and rounds. A beat expires and publishes values. It never
waits for the network, so that it goes on during a join. A round does the rest. Both have
greenlets only while they work. No failure of a step ends them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import gevent
from gevent import Greenlet

from kademlua.core.errors import NodeClosed
from kademlua.core.reasons import DropReason, Purpose
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.service import LookupService
from kademlua.membership.bootstrap import Bootstrap
from kademlua.membership.joiner import Joiner
from kademlua.membership.reachability import ReachabilityProber
from kademlua.replication.conflict_resolver import ConflictResolver
from kademlua.replication.replicator import Replicator
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context
from kademlua.runtime.guard import Guard
from kademlua.runtime.heartbeat import Heartbeat
from kademlua.runtime.time_slices import yield_to_hub
from kademlua.values.publisher import Republisher
from kademlua.values.watch.watcher import Watcher

_JITTER: Final = 0.2
_DEAD_PROBES: Final = 2
"""Dead contacts that are probed again in each round."""
_REJOIN_INTERVAL: Final = 60.0
"""Seconds between two times of looking up the own id by way of revived contacts, at least."""
_FAR_FILL_INTERVAL: Final = 60.0
"""Seconds between two lookups in far buckets of a network that grew, at least."""
_SMALL_NETWORK: Final = 200
"""Nodes below which a network usually has its nodes in few subnets on purpose."""
_SIZE_SAMPLES: Final = 8
"""Places by which the network's size is estimated."""
_STUCK_AFTER: Final = 600.0
"""Seconds after which a step of a round or an attempt to join counts as stuck. The slowest step, a
refresh of all buckets of a network where most calls time out, takes some minutes."""


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
    client: RpcClient
    watcher: Watcher


class Maintenance:
    """Keeps one node in its network."""

    def __init__(self, context: Context, upkeep: Upkeep) -> None:
        self._client = upkeep.client
        self._watcher = upkeep.watcher
        self._reachability = upkeep.reachability
        self._bootstrap = upkeep.bootstrap
        self._replicator = upkeep.replicator
        self._republisher = upkeep.republisher
        self._conflict_resolver = upkeep.conflict_resolver
        self._liveliness = upkeep.liveliness
        self._lookups = upkeep.lookups
        self._transport = context.transport
        self._stats = context.stats
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._rng = context.rng
        self._log = context.log
        self._guard = Guard(context.log, context.clock)
        self._greenlets: dict[str, Greenlet[..., None]] = {}
        self.heartbeat = Heartbeat(context.clock, self._interval, self._on_beat, self._on_pause)
        """Starts the beats and rounds; notices when the node was paused."""
        self._size_at_refresh = 0
        """Contacts in the table when the neighbourhood was last refreshed."""
        self._rejoined_at = self._clock() - _REJOIN_INTERVAL
        self._neighbourhood_refreshed_at = self._far_filled_at = self._clock()
        self._buckets_refreshed_at = self._clock()
        self._progress_at = self._clock()
        """When the current or last step of a round began."""
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
        self.heartbeat.start()
        self.joiner.start()

    def close(self) -> None:
        """Stop, and release everything that waits for the join; idempotent."""
        self.heartbeat.stop()
        for greenlet in list(self._greenlets.values()):
            if greenlet is not gevent.getcurrent():
                greenlet.kill()
        self._replicator.close()
        self._conflict_resolver.close()
        self._republisher.close()
        self.joiner.close()

    def check(self) -> bool:
        """Return whether upkeep runs: it beats, and no step is stuck."""
        now = self._clock()
        self.heartbeat.notice_pause(now)
        longest_wait = (1 + _JITTER) * self._params.maintenance_interval
        return now - self._progress_at < _STUCK_AFTER + longest_wait

    # Beats and rounds.

    def _on_beat(self) -> None:
        """Start a round, which begins with a beat, or only a beat if the last round goes on."""
        if not self._start(self._run_round):
            self._start(self._beat)

    def _on_pause(self, seconds: float) -> None:
        """Continue after a pause, before anything else is done.

        Datagrams that waited are dropped: their senders have given up, and a TTL would count from
        their arrival. Calls in flight end without a verdict on the peers.
        """
        self._log.warning("paused for %.0f seconds: asleep, stopped or blocked", seconds)
        self._progress_at = self._clock()
        dropped = self._guard.run("dropping stale datagrams", self._transport.discard_backlog)
        self._stats.dropped[DropReason.STALE] += dropped or 0
        self._liveliness.on_pause()
        self._client.interrupt()
        self._watcher.on_pause()
        self._size_at_refresh = 0  # the neighbours may have forgotten this node
        self.joiner.hurry()
        self._on_beat()

    def _interval(self) -> float:
        return self._jittered(self._params.maintenance_interval)

    def _start(self, function: Callable[[], None]) -> bool:
        """Run a function in a greenlet; return False if its last run has not ended."""
        if self.heartbeat.is_stopped or function.__name__ in self._greenlets:
            return False

        def run() -> None:
            try:
                function()
            finally:
                del self._greenlets[function.__name__]

        self._greenlets[function.__name__] = gevent.spawn(run)
        return True

    def _beat(self) -> None:
        """Do what must not wait for the network."""
        now = self._clock()
        for name, step in (
            ("expiring values", self._expire_values),
            ("expiring tombstones", self._store.tombstones.expire),
            ("publishing", self._publish),
        ):
            self._guard.run(name, partial(step, now))

    def _expire_values(self, now: float) -> None:
        self._store.expire(now)
        while (due_at := self._store.next_expiry()) is not None and due_at <= now:
            yield_to_hub()
            self._store.expire(now)

    def _publish(self, now: float) -> None:
        if self.joiner.is_joined or len(self._table):  # a value needs other nodes
            self._republisher.tick(now)

    def _run_round(self) -> None:
        """Run each step; before the node has joined, only a beat."""
        self._progress_at = self._clock()
        self._beat()
        self.joiner.check_contacts()
        if not self.joiner.is_joined:
            return
        try:
            for name, step in (
                ("probing", self._probe),
                ("replication", self._replicator.tick),
                ("resolving conflicts", self._conflict_resolver.tick),
                ("rejoining", self._rejoin_recovered),
                ("testing reachability", self._test_reachability),
                ("refreshing the neighbourhood", self._refresh_grown_neighbourhood),
                ("filling buckets", self._fill_far_buckets),
                ("checking the limits", self._warn_of_limits),
                ("refreshing buckets", self._refresh_buckets),
            ):
                self._progress_at = now = self._clock()
                self._guard.run(name, partial(step, now))
        except NodeClosed:
            pass

    def _on_joined(self) -> None:
        if self._has_joined_before:  # values may have too few replicas, or none, since the outage
            self._replicator.reschedule_all()
        self._has_joined_before = True
        # Other nodes may have joined at the same time: the first round looks for them.
        self._size_at_refresh = 0
        self._replicator.on_joined()
        self.heartbeat.start()  # again, so that the first round is not too early for them

    # The steps of a round.

    def _probe(self, _: float) -> None:
        self._liveliness.probe_stale(self._params.maintenance_interval)
        self._liveliness.reprobe_dead(_DEAD_PROBES)

    def _test_reachability(self, now: float) -> None:
        if self._reachability.tick(now):  # the neighbours have to learn of this node again
            self._size_at_refresh = 0

    def _warn_of_limits(self, _: float) -> None:
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

    def _refresh_grown_neighbourhood(self, now: float) -> None:
        """Look up the neighbours again if the network has grown."""
        if len(self._table) <= 2 * self._size_at_refresh:
            return
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
        """Refresh the buckets without a lookup for ``Params.refresh_interval`` seconds.

        They are looked for four times in each interval.
        """
        self._lookups.update_density()
        if now - self._buckets_refreshed_at < self._params.refresh_interval / 4:
            return
        self._buckets_refreshed_at = now
        before = now - self._jittered(self._params.refresh_interval)
        if self._table.buckets[-1].refreshed_at < before:
            self._lookups.find_node(self._table.local_id, purpose=Purpose.REFRESH)
        self._bootstrap.refresh_buckets(before)

    def _jittered(self, seconds: float) -> float:
        """Return a duration up to a fifth longer or shorter: nodes should not act in step."""
        return seconds * (1 - _JITTER + 2 * _JITTER * self._rng.random())
