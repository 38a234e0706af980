"""Machines on virtual time whose clocks can be set and which can sleep; one-way loss."""

from __future__ import annotations

from collections.abc import Callable

from kademlua.core.contact import Endpoint
from kademlua.runtime.transport import Transport
from kademlua.simulation.clock.loop import virtual_now

_WALL_CLOCK_START = 1_800_000_000.0
_ASLEEP_RATE = 0.05
"""The speed of a sleeping machine's clock. At zero, timers of the loop, which run on, would wake
its node again and again at the same time of its clock."""


class Machine:
    """The clocks of one slot. While it sleeps its clock almost stands still, and then jumps."""

    def __init__(self) -> None:
        self.wall_offset = 0.0
        self._asleep_since: float | None = None

    def clock(self) -> float:
        """Return the seconds since the run began, as this machine knows them."""
        now = virtual_now()
        if self._asleep_since is None:
            return now
        return self._asleep_since + (now - self._asleep_since) * _ASLEEP_RATE

    def wall_clock(self) -> float:
        """Return the seconds since 1970, as this machine believes."""
        return _WALL_CLOCK_START + self.clock() + self.wall_offset

    def fall_asleep(self) -> None:
        """Stop the clock, nearly."""
        self._asleep_since = virtual_now()

    def wake_up(self) -> None:
        """Set the clock to the time."""
        self._asleep_since = None


class LossyTransport:
    """A transport whose packets to some endpoints are lost."""

    def __init__(self, inner: Transport, is_lost: Callable[[Endpoint, Endpoint], bool]) -> None:
        self._inner = inner
        self._is_lost = is_lost
        self.local_endpoint = inner.local_endpoint
        self.supports_ipv4 = inner.supports_ipv4
        self.supports_ipv6 = inner.supports_ipv6
        self.is_backlogged = False
        self.start = inner.start
        self.has_unread = inner.has_unread
        self.discard_backlog = inner.discard_backlog
        self.close = inner.close

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send a datagram, or lose it."""
        is_lost = self._is_lost(self.local_endpoint, endpoint)
        return True if is_lost else self._inner.send(datagram, endpoint)
