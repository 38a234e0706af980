"""Replication: keeps each value on the ``replicas`` live nodes closest to its key.

Most transfers follow changes of the routing table. A new node receives the values that it should
hold, and when a replica dies the next closest node receives its values. The replica closest to
the key sends them. In addition, each replica looks up its keys once per
``Params.replicate_interval`` and sends the value to all other replicas. A node that recently
received the value skips its turn (Maymounkov and Mazières 2002, section 2.5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.routing.replica_set import is_replica
from kademlua.replication.transfer import ValueTransfer
from kademlua.runtime.context import Context
from kademlua.runtime.time_slices import in_slices
from kademlua.runtime.worker_pool import WorkerPool

_JITTER: Final = 0.2
"""Random part by which an interval differs from ``Params.replicate_interval``."""
_SCANS_PER_INTERVAL: Final = 24
"""Scans of the store for due keys per ``Params.replicate_interval``."""
_RELEASE_AFTER: Final = 0.25
"""Part of an interval after which a node that is no longer a replica releases a key."""
_PROBATION: Final = 60
"""Seconds for which a new contact does not count as a holder.

A node that has just joined does not react to new contacts for the same time.
"""
_JOIN_GRACE: Final = 15
"""Seconds after a join in which new contacts are older members of the network."""
_RECENT_WINDOW: Final = 180
"""Seconds for which a new contact may lack values because their sender died."""
_NEIGHBOUR_COUNT: Final = 8
"""Neighbours compared first; for most keys one of them is closer than this node."""
_MASS_FAILURE_WINDOW: Final = 60
"""Seconds within which the deaths of half of the neighbours count as a mass failure."""
_MASS_FAILURE_SPREAD: Final = 300
"""Seconds over which replication is spread after a mass failure."""
_MAX_PENDING: Final = 32_768
"""Upper limit of queued keys; further keys stay due."""
_CONCURRENCY: Final = 4
"""Keys transferred concurrently."""

TableChanges = dict[int, Contact]


class Replicator:
    """Decides which keys this node transfers, and transfers them in worker greenlets."""

    __slots__ = (
        "_added_at",
        "_clock",
        "_death_times",
        "_due_keys",
        "_joined_at",
        "_local_int",
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

    def __init__(self, context: Context, transfer: ValueTransfer) -> None:
        self._transfer = transfer
        self._table = context.table
        self._store = context.store
        self._params = context.params
        self._clock = context.clock
        self._stats = context.stats
        self._local_int = to_int(context.id)
        self._started_at = self._scanned_at = self._clock()
        self._rescheduled_at = self._started_at
        """Time at which all keys were last made due."""
        self._replicated_at: dict[bytes, float] = {}
        """Time at which this node last replicated a key to all replicas."""
        self._added_at: dict[int, float] = {}
        """Arrival times of recent contacts, by id as a number."""
        self._death_times: list[float] = []
        self.pending_transfers: dict[bytes, dict[Contact, None]] = {}
        """Recipients of queued keys."""
        self._due_keys: dict[bytes, float] = {}
        """Due keys, with the time of their last replication."""
        self._workers = WorkerPool(_CONCURRENCY, self._run_next, context.log)
        self._joined_at = -math.inf

    def close(self) -> None:
        """Stop all transfers. Idempotent."""
        self._workers.close()

    def tick(self, now: float) -> None:
        """Queue the keys affected by table changes and the due keys, for worker greenlets."""
        added, removed = self._table.drain_changes()
        if not len(self._store):
            self._added_at.clear()
            return
        if (added or removed) and now - self._joined_at >= _JOIN_GRACE:
            self._record_changes(added, removed, now)
            if now - self._joined_at >= _PROBATION:
                self._enqueue_changes(added, removed, now)
        is_rescheduling = (
            now - self._rescheduled_at < 2 * _MASS_FAILURE_SPREAD
            and self._rescheduled_at > self._started_at
        )
        scan_interval = (
            _MASS_FAILURE_SPREAD / 20
            if is_rescheduling
            else self._params.replicate_interval / _SCANS_PER_INTERVAL
        )
        if now - self._scanned_at >= scan_interval:
            self._scanned_at = now
            self._scan(now)
        self._workers.notify(len(self.pending_transfers) + len(self._due_keys))

    def on_joined(self) -> None:
        """Record the time of a join; contacts met soon after it are not new to the network."""
        self._joined_at = self._clock()

    def reschedule_all(self) -> None:
        """Make all keys due soon, after a large change of the network."""
        now = self._clock()
        if (
            now - self._rescheduled_at > 2 * _MASS_FAILURE_SPREAD
            or self._rescheduled_at == self._started_at
        ):
            self._rescheduled_at = now

    def enqueue(self, key: bytes, recipients: Sequence[Contact]) -> None:
        """Queue a key for transfer to the given contacts."""
        self.pending_transfers.setdefault(key, {}).update(dict.fromkeys(recipients))
        self._workers.notify(len(self.pending_transfers))

    # Changes of the routing table.

    def _record_changes(self, added: TableChanges, removed: TableChanges, now: float) -> None:
        """Record new contacts, and reschedule all keys after a mass failure."""
        self._added_at = {n: at for n, at in self._added_at.items() if now - at < _RECENT_WINDOW}
        for number in removed:
            self._added_at.pop(number, None)
        self._added_at.update(dict.fromkeys(added, now))
        if removed:
            k = self._params.k
            neighbours = self._table.closest(self._table.local_id, k)
            radius = neighbours[-1].id_int ^ self._local_int if len(neighbours) == k else 1 << 160
            self._death_times = [at for at in self._death_times if now - at < _MASS_FAILURE_WINDOW]
            self._death_times += [now for number in removed if number ^ self._local_int < radius]
            if 2 * len(self._death_times) >= k:
                self.reschedule_all()

    def _enqueue_changes(self, added: TableChanges, removed: TableChanges, now: float) -> None:
        """Queue keys for new contacts and for the successors of removed contacts.

        Only the keys to which this node is the closest established node are considered.
        """
        on_probation = {number for number, at in self._added_at.items() if now - at < _PROBATION}
        neighbours = self._table.closest(self._table.local_id, _NEIGHBOUR_COUNT)
        neighbour_ints = [each.id_int for each in neighbours if each.id_int not in on_probation]
        for key in in_slices(self._store.keys(), self._clock):
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
        if nearer_count < self._params.replicas:  # this node is a replica itself
            del others[self._params.replicas - 1 :]
        recipients = [each for each in others if each.id_int in added]
        if removed and others:
            farthest = others[-1].id_int ^ target_int
            if len(others) >= self._params.replicas - 1:
                lost_count = sum(number ^ target_int < farthest for number in removed)
                recipients += others[len(others) - lost_count :]
            # A closer replica was responsible, and died before it sent all values.
            if any(number ^ target_int < local_distance for number in removed):
                recipients += [each for each in others if each.id_int in self._added_at]
        if recipients and len(self.pending_transfers) < _MAX_PENDING:
            self.pending_transfers.setdefault(key, {}).update(dict.fromkeys(recipients))

    # Due keys.

    def _scan(self, now: float) -> None:
        """Queue the keys whose last replication is too long ago."""
        interval = self._params.replicate_interval
        newest_due = now - _RELEASE_AFTER * (1 - _JITTER) * interval
        replicated_at: dict[bytes, float] = {}
        for key in in_slices(self._store.keys(), self._clock):
            last_replicated = self._last_replicated(key)
            if last_replicated is None:
                continue
            if key in self._replicated_at:
                replicated_at[key] = self._replicated_at[key]
            if last_replicated > newest_due and last_replicated > self._rescheduled_at:
                continue
            fraction = ((self._local_int ^ to_int(key)) & 0xFFFF) / 0x10000
            wait = interval * (1 - _JITTER + 2 * _JITTER * fraction)
            if not self._is_replica(key, self._table.closest(key, self._params.replicas)):
                wait *= _RELEASE_AFTER
            due_at = last_replicated + wait
            if last_replicated < self._rescheduled_at and self._rescheduled_at > self._started_at:
                due_at = min(due_at, self._rescheduled_at + _MASS_FAILURE_SPREAD * (0.2 + fraction))
            if due_at <= now and len(self._due_keys) < _MAX_PENDING:
                self._due_keys.setdefault(key, last_replicated)
        self._replicated_at = replicated_at

    def _last_replicated(self, key: bytes) -> float | None:
        """Return when the values of a key were last replicated, to this node or by it.

        None if it has none.
        """
        received_at = min(
            (entry.received_at for _, entry in self._transfer.live_entries(key)), default=None
        )
        if received_at is None:
            return None
        return max(received_at, self._replicated_at.get(key, 0.0), self._started_at)

    def _is_replica(self, key: bytes, nearest: list[Contact]) -> bool:
        """Return whether this node should hold a key, given the other contacts."""
        return is_replica(self._local_int, to_int(key), nearest, self._params.replicas)

    # Transfers by the workers.

    def _run_next(self) -> bool:
        """Transfer the next queued key; return False if there is none."""
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
        """Replicate a key to all replicas, or release it if this node is none."""
        replicated_at = self._last_replicated(key)
        if replicated_at is None or replicated_at > last_replicated:
            return  # expired, or replicated by another node meanwhile
        self._replicated_at[key] = self._clock()
        replicas = self._params.replicas
        nearest = self._table.closest(key, replicas)
        if self._is_replica(key, nearest):
            nearest = self._transfer.find_replicas(key)
        if self._is_replica(key, nearest):
            self._transfer.push(key, nearest[: replicas - 1], nearest[replicas - 1 :])
        else:
            self._release(key, nearest[0], nearest[replicas - 1])

    def _release(self, key: bytes, closest: Contact, successor: Contact) -> None:
        """Remove the values of a key once the closest replica and this node's successor hold them.

        The closest is asked first: it usually knows if the owner removed or replaced a value.
        """
        hashes = {owner: hash(entry.encoded) for owner, entry in self._transfer.live_entries(key)}
        if all(each in self._transfer.push(key, [each]) for each in (closest, successor)):
            for owner in in_slices(hashes, self._clock):
                entry = self._store.find(key, owner)
                if entry is not None and hash(entry.encoded) == hashes[owner]:
                    self._store.remove(key, owner)
                    self._stats.released += 1
