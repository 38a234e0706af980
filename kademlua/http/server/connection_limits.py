"""Limits on connections: their number and their time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from kademlua.runtime.timer import Timer

MAX_CONNECTIONS = 128
IDLE_TIMEOUT = 20.0
"""Seconds until a request must be complete, from the connection or the previous reply."""
BUSY_TIMEOUT = 60.0
"""Seconds to compute a reply and for the client to receive it."""
MIN_IDLE_SECONDS = 0.2
"""Seconds for which a client may wait with its request while new connections need space."""
MIN_BUSY_SECONDS = 10.0
"""Seconds for which a request in progress is not aborted for a new connection."""
_SWEEP_INTERVAL = 1.0


class Connection(Protocol):
    """A client's connection."""

    @property
    def is_receiving(self) -> bool:
        """True while the connection waits for bytes of its client."""

    def abort(self) -> None:
        """End the connection; pending reads and writes fail. Must not block or raise."""


class ConnectionLimiter:
    """The open connections of one server and their states.

    If there are too many, new connections wait. The one that has waited longest for its client
    makes space for them, so incomplete requests cannot keep other clients out.
    """

    def __init__(
        self, limit: int = MAX_CONNECTIONS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._clock = clock
        # Start times; a dictionary keeps the order of insertion, so the oldest is first.
        self._idle: dict[Connection, float] = {}
        self._busy: dict[Connection, float] = {}
        self._streaming: set[Connection] = set()
        self._timer = Timer(self._sweep)
        self.aborted = 0
        """The number of connections aborted for being slow or too many."""

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy) + len(self._streaming)

    def start(self) -> None:
        """Start to enforce the timeouts."""
        self._timer.start(_SWEEP_INTERVAL)

    def close(self) -> None:
        """Abort all connections and stop; idempotent."""
        self._timer.stop()
        for connection in [*self._idle, *self._busy, *self._streaming]:
            connection.abort()

    def admit(self, connection: Connection) -> bool:
        """Add a new connection; return False if there is no space for it yet."""
        if self.is_full and not self._abort_longest_waiting():
            return False
        self._idle[connection] = self._clock()
        return True

    @property
    def is_full(self) -> bool:
        """True if a new connection must wait for space."""
        return len(self) >= self._limit

    def set_idle(self, connection: Connection) -> None:
        """Record that the connection waits for the client's next request."""
        if self._busy.pop(connection, None) is not None:
            self._idle[connection] = self._clock()

    def set_busy(self, connection: Connection) -> None:
        """Record that a request is being answered."""
        if self._idle.pop(connection, None) is not None:
            self._busy[connection] = self._clock()

    def set_streaming(self, connection: Connection) -> None:
        """Record that the reply continues until the client disconnects."""
        if self._busy.pop(connection, None) is not None:
            self._streaming.add(connection)

    def remove(self, connection: Connection) -> None:
        """Remove a closed connection."""
        self._idle.pop(connection, None)
        self._busy.pop(connection, None)
        self._streaming.discard(connection)

    def abort_overdue(self) -> None:
        """Abort the connections whose time is up."""
        now = self._clock()
        for group, seconds in ((self._idle, IDLE_TIMEOUT), (self._busy, BUSY_TIMEOUT)):
            while group:
                oldest, since = next(iter(group.items()))
                if now - since < seconds:
                    break
                self._abort(group, oldest)

    def _sweep(self) -> None:
        self._timer.start(_SWEEP_INTERVAL)
        self.abort_overdue()

    def _abort_longest_waiting(self) -> bool:
        """Abort the slowest client's connection; return False if all clients are quick."""
        now = self._clock()
        for connection, since in self._idle.items():
            if now - since < MIN_IDLE_SECONDS:
                break
            if connection.is_receiving:  # rather than waiting for its turn to work
                self._abort(self._idle, connection)
                return True
        oldest, since = next(iter(self._busy.items()), (None, now))
        if oldest is None or now - since < MIN_BUSY_SECONDS:
            return False
        self._abort(self._busy, oldest)
        return True

    def _abort(self, group: dict[Connection, float], connection: Connection) -> None:
        del group[connection]
        self.aborted += 1
        connection.abort()
