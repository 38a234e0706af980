"""Publications: values that their node keeps alive for as long as it lives itself."""

from __future__ import annotations

import math
from typing import Any

import gevent
from gevent.event import AsyncResult

from kademlua.core.errors import StorageError, StoreFailed
from kademlua.core.reasons import Purpose
from kademlua.core.results import Publication, SavedPublications, StoreReport
from kademlua.runtime.context import Context
from kademlua.runtime.worker_pool import Crew
from kademlua.values.writer import Storing

_AT_ONCE = 4
_AGAIN = 60.0
"""Seconds after which one is stored again that failed."""
_JITTER = 0.2
_GRAIN = 0.1
"""Seconds that the timer waits at least."""


class Publications:
    """The values that one node publishes: stored again before they end, each in its time."""

    __slots__ = (
        "_by_key",
        "_clock",
        "_context",
        "_crew",
        "_due",
        "_is_closed",
        "_params",
        "_queue",
        "_saved",
        "_storing",
        "_timer",
        "_timer_at",
    )

    def __init__(self, context: Context, storing: Storing, saved: SavedPublications | None) -> None:
        self._context = context
        self._storing = storing
        self._saved = saved
        self._clock = context.clock
        self._params = context.params
        self._by_key: dict[bytes, Publication] = {}
        self._due: dict[bytes, float] = {}
        self._queue: dict[bytes, None] = {}
        self._timer: Any = None
        self._timer_at = math.inf
        self._is_closed = False
        self._crew = Crew(_AT_ONCE, self._publish_next, context.log)

    def start(self) -> None:
        """Take up what was published before; it is stored as soon as the node has joined."""
        for publication in self._saved or ():
            self._by_key[publication.key] = publication
            self._due[publication.key] = self._clock()

    def close(self) -> None:
        """End what is under way; idempotent."""
        self._crew.close()
        self._disarm()
        self._is_closed = True

    def all(self) -> list[Publication]:
        """What is published now."""
        return list(self._by_key.values())

    def publish(self, publication: Publication) -> StoreReport:
        """Store a value, and from now on again and again. StoreFailed or StorageError where it
        could not be stored, or noted for the next start; then it is not published."""
        report = self._store(publication)
        self._keep(publication)
        self._by_key[publication.key] = publication
        self._plan(publication)
        return report

    def _keep(self, publication: Publication) -> None:
        """Block this greenlet until a publication outlives the process."""
        if self._saved is not None:
            self._saved.put(*publication)
            reason = _why_not_kept(self._saved)
            if reason is not None:
                raise StorageError(f"what is published can't be kept: {reason}")

    def unpublish(self, key: bytes) -> bool:
        """Store it no more; whether it was published."""
        self._due.pop(key, None)
        if self._by_key.pop(key, None) is None:
            return False
        if self._saved is not None:
            self._saved.remove(key)
            reason = _why_not_kept(self._saved)
            if reason is not None:
                self._context.log.warning("at the next start it is published again: %s", reason)
        return True

    def look_after(self, now: float) -> None:
        """See what is due; greenlets of its own store it."""
        soonest = math.inf
        for key, due in self._due.items():
            if due <= now:
                self._queue[key] = None
            else:
                soonest = min(soonest, due)
        if self._queue:
            self._crew.wake(len(self._queue))
        self._arm(soonest)

    def _publish_next(self) -> bool:
        if not self._queue:
            return False
        key = next(iter(self._queue))
        del self._queue[key]
        publication = self._by_key.get(key)
        if publication is not None:
            self._due[key] = due = self._clock() + min(_AGAIN, publication.ttl / 2)
            self._arm(due)
            try:
                self._store(publication)
            except StoreFailed as error:
                self._context.log.warning("a value could not be published again: %s", error)
            else:
                if self._by_key.get(key) is publication:
                    self._plan(publication)
        return True

    def _store(self, publication: Publication) -> StoreReport:
        key, encoded, ttl = publication
        return self._storing.store(key, encoded, ttl, overwrite=False, cause=Purpose.PUBLISH)

    def _plan(self, publication: Publication) -> None:
        seconds = min(publication.ttl / 2, self._params.republish_interval)
        jitter = 1 - _JITTER * self._context.rng.random()
        self._due[publication.key] = due = self._clock() + seconds * jitter
        self._arm(due)

    # A timer, for what is due sooner than a round of upkeep comes by.

    def _arm(self, due: float) -> None:
        wait = due - self._clock()
        if self._is_closed or wait > 2 * self._params.settle_interval or due >= self._timer_at:
            return
        self._disarm()
        self._timer_at = due
        self._timer = gevent.get_hub().loop.timer(max(wait, _GRAIN))
        self._timer.start(self._ring)

    def _ring(self) -> None:
        self._disarm()
        self.look_after(self._clock())

    def _disarm(self) -> None:
        self._timer_at = math.inf
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


def _why_not_kept(saved: SavedPublications) -> str | None:
    """Block this greenlet until all changes outlive the process, or can't, for this reason."""
    said: AsyncResult[str | None] = AsyncResult()
    saved.kept(said.set)
    return said.get()
