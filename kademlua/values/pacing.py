"""Pacing of upkeep: what replication and republishing send, in bytes per second."""

from __future__ import annotations

import gevent

from kademlua.runtime.context import Context

_BURST_SECONDS = 0.5
"""Seconds of the rate that a burst may use."""
_REQUEST_OVERHEAD = 60
"""Bytes of a store request or reply in addition to the value."""


class UpkeepPacer:
    """Limits the upkeep of one node to ``Params.replication_bytes_per_second``."""

    __slots__ = ("_clock", "_next_send_at", "_rate")

    def __init__(self, context: Context) -> None:
        self._clock = context.clock
        self._rate = context.params.replication_bytes_per_second
        self._next_send_at = self._clock()

    def wait(self, value_bytes: int, recipient_count: int) -> None:
        """Block this greenlet until a value may be sent to some recipients."""
        self.charge(value_bytes, recipient_count)
        now = self._clock()
        if self._next_send_at > now:
            gevent.sleep(self._next_send_at - now)

    def charge(self, value_bytes: int, count: int = 1) -> None:
        """Count a value that is sent once more: what comes next has to wait for that."""
        seconds = count * (value_bytes + 2 * _REQUEST_OVERHEAD) / self._rate
        self._next_send_at = max(self._next_send_at, self._clock() - _BURST_SECONDS) + seconds
