"""One address of the virtual network: its state there, and the transport that a node gets."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

from kademlua.core.contact import Endpoint
from kademlua.runtime.transport import Receiver

_MAX_NAT = 1_024


class Link:
    """An address and what holds for it, whether a node is there or not."""

    __slots__ = (
        "backlog_in",
        "backlog_out",
        "endpoint",
        "group",
        "is_odd",
        "is_paused",
        "nat",
        "nat_seconds",
        "number",
        "receive",
        "rng",
    )

    def __init__(self, endpoint: Endpoint, number: int, group: int) -> None:
        self.endpoint = endpoint
        self.number = number
        """For the fingerprint: which of the network's addresses it is."""
        self.group = group
        """Which part of a partition it is in."""
        self.receive: Receiver | None = None
        """The node that is there now."""
        self.rng: random.Random | None = None
        """The chances of its packets, where conditions leave them any."""
        self.backlog_out = 0.0
        """When its line out is free again."""
        self.backlog_in = 0.0
        self.is_odd = False
        """Whether it is paused or behind NAT: one look for both."""
        self.is_paused = False
        self.nat: dict[Endpoint, float] | None = None
        """Behind NAT: to whom it sent, and when."""
        self.nat_seconds = 0.0

    def pause(self, is_paused: bool) -> None:
        """Cut it off, or let it on again."""
        self.is_paused = is_paused
        self.is_odd = is_paused or self.nat is not None

    def put_behind_nat(self, seconds: float) -> None:
        """From now on only they reach it to whom it sent within so many seconds."""
        self.nat = {}
        self.nat_seconds = seconds
        self.is_odd = True

    def take_from_nat(self) -> None:
        """From now on everybody reaches it."""
        self.nat = None
        self.is_odd = self.is_paused

    def goes_out(self, to: Endpoint, now: float) -> bool:
        """For an odd one: whether its packet leaves; NAT remembers where to."""
        if self.is_paused:
            return False
        nat = self.nat
        if nat is not None:
            if len(nat) >= _MAX_NAT:
                self.nat = nat = {
                    each: at for each, at in nat.items() if now - at <= self.nat_seconds
                }
            nat[to] = now
        return True

    def why_shut(self, source: Endpoint, now: float) -> str | None:
        """For an odd one: why a packet does not get in; None where it does."""
        if self.is_paused:
            return "paused"
        if self.nat is not None:
            at = self.nat.get(source)
            if at is None or now - at > self.nat_seconds:
                return "nat"
        return None


class VirtualTransport:
    """What carries a node's datagrams on a virtual network."""

    def __init__(self, link: Link, send: Callable[[Link, bytes, Endpoint], bool]) -> None:
        self.local = link.endpoint
        self.reaches_v6 = ":" in self.local[0]
        self.reaches_v4 = not self.reaches_v6
        self.is_behind = False
        self._link = link
        self._send = send
        self._is_open = False

    def start(self, receive: Receiver) -> None:
        """Begin to hand datagrams to ``receive``; OSError where another is open here."""
        if self._is_open:
            return
        if self._link.receive is not None:
            raise OSError(errno.EADDRINUSE, f"the virtual address {self.local} is in use")
        self._link.receive = receive
        self._is_open = True

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop; False where a system would not take it."""
        return self._is_open and self._send(self._link, datagram, endpoint)

    def close(self) -> None:
        """Stop; idempotent. What is on its way here gets lost."""
        if self._is_open:
            self._is_open = False
            self._link.receive = None
