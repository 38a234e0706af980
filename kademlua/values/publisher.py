"""Republishing: a node stores its published values again before they expire."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.errors import StorageError
from kademlua.core.reasons import Purpose
from kademlua.core.results import Publication, PublicationStore, StoreReport, StoreResult
from kademlua.core.values.publications import Publications
from kademlua.core.values.sweep import next_passage, next_store, position, section_count
from kademlua.core.wire.requests import StoreArguments
from kademlua.runtime.context import Context
from kademlua.runtime.durability import wait_durable
from kademlua.runtime.timer import Timer
from kademlua.runtime.worker_pool import WorkerPool
from kademlua.values.bulk.bulk_writer import BulkWriter
from kademlua.values.bulk.tally import Tally
from kademlua.values.writer import ValueWriter

_BATCH_KEYS: Final = 1_024
"""Values that are stored together: at the usual rate, within about a minute."""
_V10_INTERVAL: Final = 30.0
"""Seconds between two stores if most holders speak version 1.0: the original forgets a value after
at most 120 s, often earlier."""
_RETRY_AFTER: Final = 60.0
"""Seconds until a failed store is repeated."""
_STEP: Final = 1 / 1024
"""Part of an interval by which values may be late."""
_MIN_TIMER_WAIT: Final = 0.1
"""Minimum seconds until the timer fires."""


class Republisher:
    """The published values of one node.

    Each is stored again after half its TTL, at most after ``Params.republish_interval``, in the
    order of their keys. A ``publication_store`` preserves publications across restarts, and how far
    republishing came.
    """

    __slots__ = (
        "_bulk_writer",
        "_clock",
        "_context",
        "_has_v10_holders",
        "_is_closed",
        "_is_loaded",
        "_is_v10",
        "_params",
        "_publication_store",
        "_publications",
        "_timer",
        "_timer_at",
        "_workers",
        "_writer",
    )

    def __init__(
        self,
        context: Context,
        writer: ValueWriter,
        bulk_writer: BulkWriter,
        publication_store: PublicationStore | None,
        *,
        is_v10: Callable[[Contact], bool],
    ) -> None:
        """Prepare; ``is_v10`` tells whether a contact speaks version 1.0."""
        self._context = context
        self._is_v10 = is_v10
        self._writer = writer
        self._bulk_writer = bulk_writer
        self._publication_store = publication_store
        self._clock = context.clock
        self._params = context.params
        self._publications = Publications()
        self._has_v10_holders = False
        self._timer = Timer(self._on_timer)
        self._timer_at = math.inf
        self._is_closed = self._is_loaded = False
        self._workers = WorkerPool(1, self._store_batch, context.log)

    def start(self) -> None:
        """Load the persistent publications.

        Those that the last sweep of this node did not reach are due as soon as it has joined.
        """
        store = self._publication_store
        if store is None:
            return
        now, wall_now, swept_at = self._clock(), self._context.wall_clock(), store.swept_at()
        sections = section_count(sum(1 for _ in store))
        for publication in store:
            interval = self._interval(publication)
            at = position(publication.key, self._context.id, sections)
            wait = -interval
            if 0 < swept_at <= wall_now:  # otherwise none was saved, or the clock was set back
                wait = max(wait, next_passage(at, interval, swept_at) - wall_now)
            self._publications.put(publication, _round_up(now + wait, interval))
        self._is_loaded = True

    def close(self) -> None:
        """Stop republishing. Idempotent."""
        if not self._is_closed:
            self._save_progress()
        self._workers.close()
        self._timer.stop()
        self._is_closed = True

    def __len__(self) -> int:
        return len(self._publications)

    def publications(self) -> list[Publication]:
        """Return the current publications."""
        return list(self._publications)

    def copies(self) -> dict[int, int]:
        """Return for numbers of nodes how many published values that many acknowledged."""
        return self._publications.copies

    def lag(self) -> float:
        """Return for how many seconds the oldest overdue value has been due; 0 if none is."""
        return self._publications.lag(self._clock())

    def publish(self, publication: Publication) -> StoreReport:
        """Store a value now and repeatedly from now on.

        Raises:
            StoreFailed: Too few nodes acknowledged the value; it is not published.
            StorageError: The publication could not be saved; it is not published.
        """
        report = self._writer.store(_arguments(publication), Purpose.PUBLISH)
        self.keep(publication, report)
        return report

    def keep(self, publication: Publication, report: StoreReport) -> None:
        """Store a value repeatedly from now on; ``report`` is that of its first store.

        Raises:
            StorageError: The publication could not be saved; it is not published.
        """
        self._persist(publication)
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
        if not self._publications.remove(key):
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
        """Let a worker greenlet store the values that are due."""
        self._timer_at = math.inf
        due_at = self._publications.next_due_at()
        if due_at <= now:
            self._workers.notify(1)
        else:
            self._arm(due_at)

    # Batches of values that are due.

    def _store_batch(self) -> bool:
        """Store values that are due; return False if none is."""
        due = {each.key: each for each in self._publications.take_due(self._clock(), _BATCH_KEYS)}
        if not due:
            self._arm(self._publications.next_due_at())
            return False
        arguments = [_arguments(each) for each in due.values()]
        try:
            for results in self._bulk_writer.store(
                arguments, Purpose.PUBLISH, Tally(), is_upkeep=True
            ):
                for result in results:
                    self._record(due.pop(result.key), result)
        finally:
            for publication in due.values():  # an error ended the batch
                self._retry(publication)
        self._save_progress()
        return True

    def _record(self, publication: Publication, result: StoreResult) -> None:
        """Schedule the next store of a value after one of it."""
        if self._publications.get(publication.key) != publication:
            return  # replaced or unpublished meanwhile
        report = result.report
        if result.error is None and report is not None:
            self._schedule(publication, report)
        elif report is not None and report.newer_seqs:
            self._context.log.info("a published value was replaced; its publication ends")
            self.unpublish(publication.key)
        else:
            self._context.log.warning(
                "a value could not be republished, will retry: %s", result.error
            )
            self._retry(publication)

    def _retry(self, publication: Publication) -> None:
        due_at = self._clock() + min(_RETRY_AFTER, publication.ttl / 2)
        self._publications.retry(publication.key, due_at, 0)
        self._arm(due_at)

    def _schedule(self, publication: Publication, report: StoreReport) -> None:
        interval = self._interval(publication)
        others = [each for each in report.acknowledged if each.id != self._context.id]
        if 2 * sum(map(self._is_v10, others)) > len(others):
            interval = min(interval, _V10_INTERVAL)
            self._has_v10_holders = True
        wall_now = self._context.wall_clock()
        sections = section_count(len(self._publications))
        at = position(publication.key, self._context.id, sections)
        wait = next_store(at, interval, wall_now) - wall_now
        due_at = _round_up(self._clock() + wait, interval)
        self._publications.put(publication, due_at, len(report.acknowledged))
        self._arm(due_at)

    def _interval(self, publication: Publication) -> float:
        """Return the maximum seconds between two stores of a value."""
        return min(publication.ttl / 2, self._params.republish_interval)

    def _save_progress(self) -> None:
        """Save that all values are stored up to now, or to when the oldest overdue one was due."""
        # Holders of version 1.0 forget values: after a restart, all are due.
        if self._publication_store is not None and self._is_loaded:
            at = 0.0 if self._has_v10_holders else self._context.wall_clock() - self.lag()
            self._publication_store.save_swept_at(at)

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
        self.tick(self._clock())


def _round_up(due_at: float, interval: float) -> float:
    """Let values be due together although clocks drift."""
    step = interval * _STEP
    return math.ceil(due_at / step) * step


def _arguments(publication: Publication) -> StoreArguments:
    key, encoded, ttl, seq = publication
    return StoreArguments(key, encoded, ttl, seq=seq)
