"""Pacing of upkeep: what replication and republishing send, in bytes per second."""

from __future__ import annotations

from typing import Final

import gevent

from kademlua.runtime.context import Context

STORE_OVERHEAD_BYTES: Final = 120
"""Bytes of a store and its reply in addition to the value."""
_BURST_SECONDS: Final = 0.5
"""Seconds of the rate that a burst may use."""


class UpkeepPacer:
    """Limits the upkeep of one node to ``Params.replication_bytes_per_second``."""

    __slots__ = ("_clock", "_next_send_at", "_rate")

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._rate = context.params.replication_bytes_per_second
        self._next_send_at = self._clock()

    def wait(self, request_bytes: int, count: int) -> None:
        """Block this greenlet until ``count`` requests of this size may be sent, and count them."""
        self.charge(request_bytes, count)
        seconds = self._next_send_at - self._clock()
        if seconds > 0:
            gevent.sleep(seconds)

    def charge(self, request_bytes: int, count: int = 1) -> None:
        """Count requests that are sent without waiting: those that follow have to wait longer."""
        seconds = count * request_bytes / self._rate
        self._next_send_at = max(self._next_send_at, self._clock() - _BURST_SECONDS) + seconds
