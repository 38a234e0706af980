"""WorkerPool: a few greenlets that exist only while there is work."""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent import Greenlet

from kademlua.core.errors import KademluaError, NodeClosed


class WorkerPool:
    """Calls ``run_one`` from several greenlets until it returns False.

    ``run_one`` processes one item and returns whether there was one.
    """

    __slots__ = (
        "_closed",
        "_greenlets",
        "_log",
        "_max_greenlets",
        "_run_one",
    )

    def __init__(
        self,
        max_greenlets: int,
        run_one: Callable[[], bool],
        log: logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._max_greenlets = max_greenlets
        self._run_one = run_one
        self._log = log
        self._greenlets: list[Greenlet[..., None]] = []
        self._closed = False

    def notify(self, pending_count: int) -> None:
        """Start greenlets for this many pending items, up to the maximum."""
        if not self._closed:
            for _ in range(min(pending_count, self._max_greenlets) - len(self._greenlets)):
                self._greenlets.append(gevent.spawn(self._run))

    def close(self) -> None:
        """End all greenlets; idempotent."""
        self._closed = True
        for greenlet in list(self._greenlets):
            if greenlet is not gevent.getcurrent():
                greenlet.kill(block=False)

    def _run(self) -> None:
        try:
            while not self._closed and self._run_one():
                pass
        except NodeClosed:
            pass
        except KademluaError as error:  # too many calls in flight: the work stays due
            self._log.info("replication postponed: %s", error)
        except Exception:  # a defect must not end replication for good
            self._log.exception("replication failed")
        finally:
            self._greenlets[:] = [
                each for each in self._greenlets if each is not gevent.getcurrent()
            ]
