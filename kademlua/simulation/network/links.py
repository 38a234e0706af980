"""One address of the virtual network: its state there, and the transport that a node gets."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

from kademlua.core.contact import Endpoint
from kademlua.runtime.transport import DatagramHandler

_MAX_NAT_MAPPINGS = 1_024


class Link:
    """An address and what holds for it, whether a node is there or not."""

    __slots__ = (
        "downlink_free_at",
        "endpoint",
        "group",
        "has_restrictions",
        "index",
        "is_paused",
        "nat_mappings",
        "nat_timeout",
        "receive",
        "rng",
        "uplink_free_at",
    )

    def __init__(self, endpoint: Endpoint, index: int, group: int) -> None:
        self.endpoint = endpoint
        self.index = index
        """For the fingerprint: which of the network's addresses it is."""
        self.group = group
        """Which part of a partition it is in."""
        self.receive: DatagramHandler | None = None
        """The node that is there now."""
        self.rng: random.Random | None = None
        """The chances of its packets, where conditions leave them any."""
        self.uplink_free_at = 0.0
        """When its line out is free again."""
        self.downlink_free_at = 0.0
        self.has_restrictions = False
        """Whether it is paused or behind NAT: one look for both."""
        self.is_paused = False
        self.nat_mappings: dict[Endpoint, float] | None = None
        """Behind NAT: to whom it sent, and when."""
        self.nat_timeout = 0.0

    def set_paused(self, *, is_paused: bool) -> None:
        """Cut it off, or let it on again."""
        self.is_paused = is_paused
        self.has_restrictions = is_paused or self.nat_mappings is not None

    def enable_nat(self, timeout: float) -> None:
        """From now on only they reach it to whom it sent within so many seconds."""
        self.nat_mappings = {}
        self.nat_timeout = timeout
        self.has_restrictions = True

    def disable_nat(self) -> None:
        """From now on everybody reaches it."""
        self.nat_mappings = None
        self.has_restrictions = self.is_paused

    def allow_outgoing(self, destination: Endpoint, now: float) -> bool:
        """For an odd one: whether its packet leaves; NAT remembers where to."""
        if self.is_paused:
            return False
        mappings = self.nat_mappings
        if mappings is not None:
            if len(mappings) >= _MAX_NAT_MAPPINGS:
                self.nat_mappings = mappings = {
                    each: at for each, at in mappings.items() if now - at <= self.nat_timeout
                }
            mappings[destination] = now
        return True

    def drop_reason(self, source: Endpoint, now: float) -> str | None:
        """For an odd one: why a packet does not get in; None where it does."""
        if self.is_paused:
            return "paused"
        if self.nat_mappings is not None:
            sent_at = self.nat_mappings.get(source)
            if sent_at is None or now - sent_at > self.nat_timeout:
                return "nat"
        return None


class VirtualTransport:
    """What carries a node's datagrams on a virtual network."""

    def __init__(self, link: Link, send: Callable[[Link, bytes, Endpoint], bool]) -> None:
        self.local_endpoint = link.endpoint
        self.supports_ipv6 = ":" in self.local_endpoint[0]
        self.supports_ipv4 = not self.supports_ipv6
        self.is_backlogged = False
        self._link = link
        self._send = send
        self._is_open = False

    def start(self, receive: DatagramHandler) -> None:
        """Begin to hand datagrams to ``receive``; OSError where another is open here."""
        if self._is_open:
            return
        if self._link.receive is not None:
            raise OSError(errno.EADDRINUSE, f"the virtual address {self.local_endpoint} is in use")
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
