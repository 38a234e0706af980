"""Replication: sees to it that each value stays on the ``replicas`` closest live nodes.

Most of it follows what the routing table learns: who comes near is given what it should hold,
and when a holder dies the next nearest gets its values; of the holders that do not change, the
one nearest to the key does it. Once in a while, a holder looks up the key and gives to all of
them; one that was just given the value leaves that to others (Maymounkov and Mazières 2002,
section 2.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import gevent

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.reasons import Purpose
from kademlua.core.routing.replica_set import is_replica
from kademlua.core.values.store import StoreEntry
from kademlua.lookup.service import LookupService
from kademlua.replication.transfer import ValueTransfer
from kademlua.runtime.context import Context
from kademlua.runtime.worker_pool import WorkerPool

_JITTER = 0.2
_SCANS_PER_INTERVAL = 24
"""So many times in an interval the store is looked through for what is due."""
_RELEASE_AFTER = 0.25
"""Who is no longer among the closest hands on and lets go after this part of an interval."""
_PROBATION = 60
"""Seconds for which one who came does not count as holding anything yet, nor a node that has
just joined as one to know who is new."""
_JOIN_GRACE = 15
"""Seconds in which a node that has joined meets those who have been there for long."""
_RECENT_WINDOW = 180
"""Seconds in which one who came may have been forgotten by a giver that died."""
_NEIGHBOUR_COUNT = 8
"""Neighbours by which most keys are seen to be nearer to somebody else."""
_CATASTROPHE_WINDOW = 60
"""Seconds in which the death of many is a catastrophe."""
_CATASTROPHE_SPREAD = 300
"""Seconds over which the turns are spread that are taken early, after a catastrophe."""
_MAX_PENDING = 32_768
"""Keys that may wait to be handed on; further ones stay due."""
_CONCURRENCY = 4
"""Keys being handed on at a time."""
_YIELD_EVERY = 512
"""Keys looked at before others may run."""

TableChanges = dict[int, Contact]


class Replicator:
    """The queue of what this node has to give, and its greenlets, which live while they give."""

    __slots__ = (
        "_added_at",
        "_clock",
        "_death_times",
        "_due_keys",
        "_joined_at",
        "_local_int",
        "_lookups",
        "_params",
        "_replicated_at",
        "_rescheduled_at",
        "_scanned_at",
        "_started_at",
        "_stats",
        "_store",
        "_table",
        "_transfer",
        "_workers",
        "pending_transfers",
    )

    def __init__(self, context: Context, lookups: LookupService, transfer: ValueTransfer) -> None:
        self._lookups = lookups
        self._transfer = transfer
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._stats = context.stats
        self._local_int = to_int(context.id)
        self._started_at = self._scanned_at = self._clock()
        self._rescheduled_at = self._started_at
        """Since when all values are due anew, each in its turn."""
        self._replicated_at: dict[bytes, float] = {}
        """When this node itself last handed a key on to all."""
        self._added_at: dict[int, float] = {}
        """When those who came lately came, by number."""
        self._death_times: list[float] = []
        self.pending_transfers: dict[bytes, dict[Contact, None]] = {}
        """Keys, and whom they are to be given."""
        self._due_keys: dict[bytes, float] = {}
        """Keys that are due, and when they had last been handed on."""
        self._workers = WorkerPool(_CONCURRENCY, self._run_next, context.log)
        self._joined_at = -math.inf

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._workers.close()

    def tick(self, now: float) -> None:
        """See what there is to give; greenlets of its own give it."""
        added, removed = self._table.drain_changes()
        if not len(self._store):
            self._added_at.clear()
            return
        if (added or removed) and now - self._joined_at >= _JOIN_GRACE:
            self._record_changes(added, removed, now)
            if now - self._joined_at >= _PROBATION:
                self._enqueue_changes(added, removed, now)
        is_rescheduling = (
            now - self._rescheduled_at < 2 * _CATASTROPHE_SPREAD
            and self._rescheduled_at > self._started_at
        )
        scan_interval = (
            _CATASTROPHE_SPREAD / 20
            if is_rescheduling
            else self._params.replicate_interval / _SCANS_PER_INTERVAL
        )
        if now - self._scanned_at >= scan_interval:
            self._scanned_at = now
            self._scan(now)
        self._workers.notify(len(self.pending_transfers) + len(self._due_keys))

    def on_joined(self) -> None:
        """The node has joined: all whom it meets now are new to it, and most to nobody else."""
        self._joined_at = self._clock()

    def reschedule_all(self) -> None:
        """Have all values handed on soon, as if their hour had come: much has changed."""
        now = self._clock()
        if (
            now - self._rescheduled_at > 2 * _CATASTROPHE_SPREAD
            or self._rescheduled_at == self._started_at
        ):
            self._rescheduled_at = now

    def enqueue(self, key: bytes, recipients: Sequence[Contact]) -> None:
        """Have these given a key soon."""
        self.pending_transfers.setdefault(key, {}).update(dict.fromkeys(recipients))
        self._workers.notify(len(self.pending_transfers))

    # What the table learnt.

    def _record_changes(self, added: TableChanges, removed: TableChanges, now: float) -> None:
        """Remember who came, and see whether many died at once."""
        self._added_at = {n: at for n, at in self._added_at.items() if now - at < _RECENT_WINDOW}
        for number in removed:
            self._added_at.pop(number, None)
        self._added_at.update(dict.fromkeys(added, now))
        if removed:
            k = self._params.k
            neighbours = self._table.closest(self._table.local_id, k)
            radius = neighbours[-1].id_int ^ self._local_int if len(neighbours) == k else 1 << 160
            self._death_times = [at for at in self._death_times if now - at < _CATASTROPHE_WINDOW]
            self._death_times += [now for number in removed if number ^ self._local_int < radius]
            if 2 * len(self._death_times) >= k:
                self.reschedule_all()

    def _enqueue_changes(self, added: TableChanges, removed: TableChanges, now: float) -> None:
        """Queue what this node has to give since these came and those went: of the keys to
        which it is the nearest of those who have been there for a while."""
        on_probation = {number for number, at in self._added_at.items() if now - at < _PROBATION}
        neighbours = self._table.closest(self._table.local_id, _NEIGHBOUR_COUNT)
        neighbour_ints = [each.id_int for each in neighbours if each.id_int not in on_probation]
        for count, key in enumerate(self._store.keys(), start=1):
            if count % _YIELD_EVERY == 0:
                gevent.sleep(0)
            target_int = to_int(key)
            local_distance = self._local_int ^ target_int
            for neighbour_int in neighbour_ints:
                if neighbour_int ^ target_int < local_distance:
                    break
            else:
                self._enqueue_changes_of_key(key, target_int, added, removed, on_probation)

    def _enqueue_changes_of_key(
        self,
        key: bytes,
        target_int: int,
        added: TableChanges,
        removed: TableChanges,
        on_probation: set[int],
    ) -> None:
        others = self._table.closest(key, self._params.replicas)
        local_distance, nearer_count = self._local_int ^ target_int, 0
        for other in others:
            if other.id_int ^ target_int > local_distance:
                break
            if other.id_int not in on_probation:
                return
            nearer_count += 1
        if nearer_count < self._params.replicas:  # this node is one of them
            del others[self._params.replicas - 1 :]
        recipients = [each for each in others if each.id_int in added]
        if removed and others:
            farthest = others[-1].id_int ^ target_int
            if len(others) >= self._params.replicas - 1:
                lost_count = sum(number ^ target_int < farthest for number in removed)
                recipients += others[len(others) - lost_count :]
            if any(
                number ^ target_int < local_distance for number in removed
            ):  # it did not give any more
                recipients += [each for each in others if each.id_int in self._added_at]
        if recipients and len(self.pending_transfers) < _MAX_PENDING:
            self.pending_transfers.setdefault(key, {}).update(dict.fromkeys(recipients))

    # Whose turn has come.

    def _scan(self, now: float) -> None:
        """Queue the keys that nobody handed on for long."""
        interval = self._params.replicate_interval
        newest_due = now - _RELEASE_AFTER * (1 - _JITTER) * interval
        replicated_at: dict[bytes, float] = {}
        for count, key in enumerate(self._store.keys(), start=1):
            if count % _YIELD_EVERY == 0:
                gevent.sleep(0)
            entries = self._transfer.live_entries(key)
            if not entries:
                continue
            last_replicated = self._last_replicated(key, entries)
            if key in self._replicated_at:
                replicated_at[key] = self._replicated_at[key]
            if last_replicated > newest_due and last_replicated > self._rescheduled_at:
                continue
            fraction = ((self._local_int ^ to_int(key)) & 0xFFFF) / 0x10000
            wait = interval * (1 - _JITTER + 2 * _JITTER * fraction)
            if not self._is_among_closest(key):
                wait *= _RELEASE_AFTER
            due_at = last_replicated + wait
            if last_replicated < self._rescheduled_at and self._rescheduled_at > self._started_at:
                due_at = min(due_at, self._rescheduled_at + _CATASTROPHE_SPREAD * (0.2 + fraction))
            if due_at <= now and len(self._due_keys) < _MAX_PENDING:
                self._due_keys.setdefault(key, last_replicated)
        self._replicated_at = replicated_at

    def _last_replicated(self, key: bytes, entries: list[tuple[Contact, StoreEntry]]) -> float:
        """When the values of a key were last handed on, to this node or by it."""
        received_at = min(entry.received_at for _, entry in entries)
        return max(received_at, self._replicated_at.get(key, 0.0), self._started_at)

    def _is_among_closest(self, key: bytes) -> bool:
        """Whether this node should hold a key, as far as its table knows."""
        nearest = self._table.closest(key, self._params.replicas)
        return self._is_replica(key, nearest)

    def _is_replica(self, key: bytes, nearest: list[Contact]) -> bool:
        return is_replica(self._local_int, to_int(key), nearest, self._params.replicas)

    # Giving.

    def _run_next(self) -> bool:
        """Give what is next in the queue; whether there was anything."""
        if self.pending_transfers:
            key = next(iter(self.pending_transfers))
            self._transfer.push(key, list(self.pending_transfers.pop(key)))
        elif self._due_keys:
            key = next(iter(self._due_keys))
            self._run_due(key, self._due_keys.pop(key))
        else:
            return False
        return True

    def _run_due(self, key: bytes, last_replicated: float) -> None:
        """Hand on to all who should hold a key; or to those who replace this node."""
        entries = self._transfer.live_entries(key)
        if not entries or self._last_replicated(key, entries) > last_replicated:
            return  # over, or somebody else was first
        self._replicated_at[key] = self._clock()
        replicas = self._params.replicas
        nearest = self._table.closest(key, replicas)
        if self._is_replica(key, nearest):
            # As in a store: the nearer half know who the farther half are.
            lookup = self._lookups.find_node(
                key, count=(replicas + 1) // 2, purpose=Purpose.REPLICATE
            )
            nearest = lookup.candidates(2 * replicas)
        if self._is_replica(key, nearest):
            self._transfer.push(key, nearest[: replicas - 1], nearest[replicas - 1 :])
        else:
            self._release(key, [nearest[0], nearest[replicas - 1]])

    def _release(self, key: bytes, replacements: list[Contact]) -> None:
        """Forget the values of a key once the nearest and the one who has this node's place
        have them."""
        entries_before = dict(self._transfer.live_entries(key))
        if set(replacements) <= self._transfer.push(key, replacements):
            for owner, entry in self._store.entries(key):
                pushed = entries_before.get(owner)
                if pushed is not None and pushed.encoded == entry.encoded:
                    self._store.remove(key, owner)
                    self._stats.released += 1
