"""Republishing: a node stores its published values again before they expire."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError, StoreFailed
from kademlua.core.reasons import Purpose
from kademlua.core.results import Publication, PublicationStore, StoreReport
from kademlua.core.wire.requests import StoreArguments
from kademlua.runtime.context import Context
from kademlua.runtime.durability import wait_durable
from kademlua.runtime.timer import Timer
from kademlua.runtime.worker_pool import WorkerPool
from kademlua.values.pacing import STORE_OVERHEAD_BYTES, UpkeepPacer
from kademlua.values.writer import ValueWriter

_CONCURRENCY: Final = 4
_V10_INTERVAL: Final = 30.0
"""Seconds between two stores if most holders speak version 1.0: the original forgets a value after
at most 120 s, often earlier."""
_RETRY_AFTER: Final = 60.0
"""Seconds until a failed store is repeated."""
_JITTER: Final = 0.2
"""Random part by which the interval between two stores is shortened."""
_MIN_TIMER_WAIT: Final = 0.1
"""Minimum seconds until the timer fires."""


class Republisher:
    """The published values of one node.

    Each is stored again after half its TTL, at most after ``Params.republish_interval``. A
    ``publication_store`` preserves publications across restarts.
    """

    __slots__ = (
        "_by_key",
        "_clock",
        "_context",
        "_due_at",
        "_is_closed",
        "_is_v10",
        "_pacer",
        "_params",
        "_publication_store",
        "_queue",
        "_replica_counts",
        "_timer",
        "_timer_at",
        "_workers",
        "_writer",
    )

    def __init__(
        self,
        context: Context,
        writer: ValueWriter,
        publication_store: PublicationStore | None,
        pacer: UpkeepPacer,
        *,
        is_v10: Callable[[Contact], bool],
    ) -> None:
        """Prepare; ``is_v10`` tells whether a contact speaks version 1.0."""
        self._context = context
        self._is_v10 = is_v10
        self._writer = writer
        self._publication_store = publication_store
        self._pacer = pacer
        self._clock = context.clock
        self._params = context.params
        self._by_key: dict[bytes, Publication] = {}
        self._due_at: dict[bytes, float] = {}
        self._replica_counts: dict[bytes, int] = {}
        self._queue: dict[bytes, None] = {}
        self._timer = Timer(self._on_timer)
        self._timer_at = math.inf
        self._is_closed = False
        self._workers = WorkerPool(_CONCURRENCY, self._publish_next, context.log)

    def start(self) -> None:
        """Load the persistent publications; they are stored as soon as the node has joined."""
        for publication in self._publication_store or ():
            self._by_key[publication.key] = publication
            self._due_at[publication.key] = self._clock()

    def close(self) -> None:
        """Stop republishing. Idempotent."""
        self._workers.close()
        self._timer.stop()
        self._is_closed = True

    def publications(self) -> list[Publication]:
        """Return the current publications."""
        return list(self._by_key.values())

    def replica_counts(self) -> dict[bytes, int]:
        """Return how many nodes acknowledged the last store of each published value."""
        return dict(self._replica_counts)

    def publish(self, publication: Publication) -> StoreReport:
        """Store a value now and repeatedly from now on.

        Raises:
            StoreFailed: Too few nodes acknowledged the value; it is not published.
            StorageError: The publication could not be saved; it is not published.
        """
        report = self._store(publication)
        self.keep(publication, report)
        return report

    def keep(self, publication: Publication, report: StoreReport) -> None:
        """Store a value repeatedly from now on; ``report`` is that of its first store.

        Raises:
            StorageError: The publication could not be saved; it is not published.
        """
        self._persist(publication)
        self._by_key[publication.key] = publication
        self._schedule(publication, report)

    def _persist(self, publication: Publication) -> None:
        """Save a publication, and block this greenlet until it is durable."""
        if self._publication_store is not None:
            self._publication_store.put(publication)
            reason = wait_durable(self._publication_store)
            if reason is not None:
                raise StorageError(f"the publication could not be saved: {reason}")

    def unpublish(self, key: bytes) -> bool:
        """Stop republishing a value; return whether it was published."""
        self._due_at.pop(key, None)
        self._replica_counts.pop(key, None)
        if self._by_key.pop(key, None) is None:
            return False
        if self._publication_store is not None:
            self._publication_store.remove(key)
            reason = wait_durable(self._publication_store)
            if reason is not None:
                self._context.log.warning(
                    "the end of a publication could not be saved; "
                    "unpublish it again after the next start: %s",
                    reason,
                )
        return True

    def tick(self, now: float) -> None:
        """Queue the values that are due, for worker greenlets to store."""
        next_due_at = math.inf
        for key, due_at in self._due_at.items():
            if due_at <= now:
                self._queue[key] = None
            else:
                next_due_at = min(next_due_at, due_at)
        if self._queue:
            self._workers.notify(len(self._queue))
        self._arm(next_due_at)

    def _publish_next(self) -> bool:
        if not self._queue:
            return False
        key = next(iter(self._queue))
        del self._queue[key]
        publication = self._by_key.get(key)
        if publication is not None:
            self._due_at[key] = due_at = self._clock() + min(_RETRY_AFTER, publication.ttl / 2)
            self._arm(due_at)
            self._pacer.wait(_store_bytes(publication), self._params.replicas)
            try:
                report = self._store(publication)
            except StoreFailed as error:
                failed = error.report
                if isinstance(failed, StoreReport) and failed.newer_seqs:
                    self._end_replaced(publication)
                else:
                    self._replica_counts[key] = 0
                    self._context.log.warning(
                        "a value could not be republished, will retry: %s", error
                    )
            else:
                if self._by_key.get(key) is publication:
                    self._schedule(publication, report)
        return True

    def _end_replaced(self, publication: Publication) -> None:
        """End a publication whose value this node replaced under the same key."""
        if self._by_key.get(publication.key) is publication:
            self._context.log.info("a published value was replaced; its publication ends")
            self.unpublish(publication.key)

    def _store(self, publication: Publication) -> StoreReport:
        key, encoded, ttl, seq = publication
        arguments = StoreArguments(key, encoded, ttl, seq=seq)
        return self._writer.store(
            arguments,
            Purpose.PUBLISH,
            on_extra=lambda: self._pacer.charge(_store_bytes(publication)),
        )

    def _schedule(self, publication: Publication, report: StoreReport) -> None:
        seconds = min(publication.ttl / 2, self._params.republish_interval)
        self._replica_counts[publication.key] = len(report.acknowledged)
        others = [each for each in report.acknowledged if each.id != self._context.id]
        if 2 * sum(map(self._is_v10, others)) > len(others):
            seconds = min(seconds, _V10_INTERVAL)
        jitter = 1 - _JITTER * self._context.rng.random()
        self._due_at[publication.key] = due_at = self._clock() + seconds * jitter
        self._arm(due_at)

    # A timer for values that are due before the next maintenance tick.

    def _arm(self, due_at: float) -> None:
        wait = due_at - self._clock()
        if (
            self._is_closed
            or wait > 2 * self._params.maintenance_interval
            or due_at >= self._timer_at
        ):
            return
        self._timer_at = due_at
        self._timer.start(max(wait, _MIN_TIMER_WAIT))

    def _on_timer(self) -> None:
        self._timer_at = math.inf
        self.tick(self._clock())


def _store_bytes(publication: Publication) -> int:
    return len(publication.encoded) + STORE_OVERHEAD_BYTES
