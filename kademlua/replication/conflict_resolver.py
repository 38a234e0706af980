"""Conflict resolution: a holder checks whether the owner replaced a value that it still has.

A peer transfers a value that differs from the stored one and claims to be newer. The holder sends
its own value to the other replicas. If most of them refuse it because they have that newer one,
the holder takes it.
"""

from __future__ import annotations

from kademlua.core.ids import to_int
from kademlua.core.routing.replica_set import other_replicas
from kademlua.core.values.conflicts import ConflictQueue
from kademlua.replication.transfer import ValueTransfer
from kademlua.runtime.context import Context
from kademlua.runtime.worker_pool import WorkerPool


class ConflictResolver:
    """Checks the conflicts that the store handlers queued, one at a time."""

    __slots__ = ("_conflicts", "_context", "_transfer", "_workers")

    def __init__(self, context: Context, conflicts: ConflictQueue, transfer: ValueTransfer) -> None:
        self._context = context
        self._conflicts = conflicts
        self._transfer = transfer
        self._workers = WorkerPool(1, self._resolve_next, context.log)

    def tick(self, now: float) -> None:
        """Check the queued conflicts in a worker greenlet."""
        self._conflicts.expire(now)
        self._workers.notify(self._conflicts.pending_count)

    def close(self) -> None:
        """Stop. Idempotent."""
        self._workers.close()

    def _resolve_next(self) -> bool:
        conflict = self._conflicts.pop()
        if conflict is None:
            return False
        replicas = self._context.params.replicas
        closest = self._context.table.closest(conflict.key, replicas)
        local_int = to_int(self._context.id)
        recipients = other_replicas(local_int, to_int(conflict.key), closest, replicas)
        self._transfer.resolve(conflict, recipients)
        return True
