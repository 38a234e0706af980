"""BulkWindow: the keys of a bulk operation that are processed together, and their results."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, Final

import gevent
from gevent.queue import Full, Queue

from kademlua.core.results import FindResult, StoreResult
from kademlua.values.bulk.tally import Tally

Results = Sequence[StoreResult | FindResult]
_Queue = Queue[Results | Exception | None]

_MAX_READY: Final = 2
"""Sequences of results that wait to be taken; the work pauses then."""


class BulkWindow:
    """The keys that are processed together, by a greenlet of their own.

    So the work survives if the greenlet or task that waits for results is interrupted. It ends with
    ``close``, and when nothing refers to the window any longer, in whatever thread that happens.
    """

    def __init__(self, results: Generator[Results, None, None], tally: Tally) -> None:
        """Begin; must be called in the thread of the node."""
        self.tally = tally
        self._is_ended = False
        self._queue: _Queue = Queue(_MAX_READY)
        self._loop = gevent.get_hub().loop
        self._worker = gevent.spawn(_produce, results, self._queue)

    def __del__(self) -> None:
        self.close()

    def take(self, ready: deque[Any]) -> bool:
        """Block until there are results, and append them to a queue; return False at the end.

        Raises:
            NodeClosed: The node is closed.
        """
        results = None if self._is_ended else self._queue.get()
        if isinstance(results, Exception):
            self._is_ended = True
            raise results
        self._is_ended = results is None
        ready.extend(results or ())
        return not self._is_ended

    def close(self) -> None:
        """End the work early. Idempotent; any thread may call it."""
        if not self._is_ended:
            self._is_ended = True
            with suppress(ValueError):  # the loop has ended, and the work with it
                self._loop.run_callback_threadsafe(_end, self._worker, self._queue)


def _produce(results: Generator[Results, None, None], queue: _Queue) -> None:
    """Put all results into a queue, and at last None or the error that ended the work."""
    error = None
    try:
        for each in results:
            queue.put(each)
    except Exception as caught:  # raised again in the greenlet that takes results
        error = caught
    finally:
        results.close()
    queue.put(error)


def _end(worker: gevent.Greenlet[..., None], queue: _Queue) -> None:
    """End the work, and a greenlet that waits for results."""
    worker.kill(block=False)
    with suppress(Full):  # then none waits
        queue.put_nowait(None)
