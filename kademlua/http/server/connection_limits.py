"""Connections: so many at once, and none for longer than it may be."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent

MAX_CONNECTIONS = 128
IDLE_TIMEOUT = 20.0
"""For a request to be there as a whole, counted from the connection or the answer before."""
BUSY_TIMEOUT = 60.0
"""For the answer to be computed, and taken by the client."""
MIN_BUSY_SECONDS = 10.0
"""An answer in the making is not ended for another connection in so many seconds."""
_SWEEP_INTERVAL = 1.0


class Connection(Protocol):
    """A client's connection."""

    def abort(self) -> None:
        """End it; whoever reads or writes finds its end. Must not block or raise."""


class ConnectionLimiter:
    """The open connections of one server, and what each of them is at.

    One that waits for its client can be ended at any time: when there are too many, it is the
    one that waits longest. So half a request costs nobody else a place.
    """

    def __init__(
        self, limit: int = MAX_CONNECTIONS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        # Since when; a dictionary keeps the order of entry, so the oldest is in front.
        self._idle: dict[Connection, float] = {}
        self._busy: dict[Connection, float] = {}
        self._streaming: set[Connection] = set()
        self._timer: Any = None
        self.aborted = 0
        """Connections that were ended for being too slow, or too many."""

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy) + len(self._streaming)

    def start(self) -> None:
        """Begin to watch the time."""
        self._timer = gevent.get_hub().loop.timer(_SWEEP_INTERVAL, _SWEEP_INTERVAL)
        self._timer.start(self.abort_overdue)

    def close(self) -> None:
        """End all of them, and watch no more; idempotent."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        for connection in [*self._idle, *self._busy, *self._streaming]:
            connection.abort()

    def admit(self, connection: Connection) -> bool:
        """A connection is new; False where there is no place for it."""
        if len(self) >= self._limit:
            group = self._idle or self._busy
            oldest = next(iter(group), None)
            if oldest is None or (group is self._busy and not self._is_slow(oldest)):
                self.aborted += 1
                return False
            self._abort(group, oldest)
        self._idle[connection] = self._clock()
        return True

    def set_idle(self, connection: Connection) -> None:
        """It waits for its client's next request."""
        if self._busy.pop(connection, None) is not None:
            self._idle[connection] = self._clock()

    def set_busy(self, connection: Connection) -> None:
        """A request is there, and being answered."""
        if self._idle.pop(connection, None) is not None:
            self._busy[connection] = self._clock()

    def set_streaming(self, connection: Connection) -> None:
        """Its answer goes on for as long as the client likes."""
        if self._busy.pop(connection, None) is not None:
            self._streaming.add(connection)

    def remove(self, connection: Connection) -> None:
        """It is over."""
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)
        self._streaming.discard(connection)

    def _is_slow(self, busy: Connection) -> bool:
        return self._clock() - self._busy[busy] > MIN_BUSY_SECONDS

    def abort_overdue(self) -> None:
        """End those whose time is up."""
        now = self._clock()
        for group, seconds in ((self._idle, IDLE_TIMEOUT), (self._busy, BUSY_TIMEOUT)):
            while group:
                oldest, since = next(iter(group.items()))
                if now - since < seconds:
                    break
                self._abort(group, oldest)

    def _abort(self, group: dict[Connection, float], connection: Connection) -> None:
        del group[connection]
        self.aborted += 1
        connection.abort()
