"""One address of the virtual network: its link state, and the transport of its node."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.runtime.transport import DatagramHandler
from kademlua.simulation.network.conditions import NetworkConditions

_MAX_NAT_MAPPINGS: Final = 1_024


class LinkQueue:
    """The send queue of one direction of a link."""

    __slots__ = ("free_at",)

    def __init__(self) -> None:
        self.free_at = 0.0
        """Virtual time at which the queue is empty."""

    def add(self, now: float, size: int, conditions: NetworkConditions) -> float | None:
        """Queue ``size`` bytes; return the seconds until they are sent, or None if it is full."""
        wait = max(0.0, self.free_at - now)
        if conditions.queue and wait * conditions.bandwidth + size > conditions.queue:
            return None
        wait += size / conditions.bandwidth
        self.free_at = now + wait
        return wait


class Link:
    """The state of an address, with or without a node."""

    __slots__ = (
        "downlink", "endpoint", "group", "has_restrictions", "index", "is_paused", "nat_mappings",
        "nat_timeout", "receive", "rng", "uplink",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, index: int, group: int) -> None:
        self.endpoint = endpoint
        self.index = index
        """The number of the address in the fingerprint."""
        self.group = group
        """The group in the current partition; 0: none."""
        self.receive: DatagramHandler | None = None
        """The receiver of the node at this address; None without one."""
        self.rng: random.Random | None = None
        """The random stream for packets sent from here; created on first use."""
        self.uplink = LinkQueue()
        self.downlink = LinkQueue()
        self.has_restrictions = False
        """Whether the link is paused or behind NAT; one check per packet covers both."""
        self.is_paused = False
        self.nat_mappings: dict[Endpoint, float] | None = None
        """Behind NAT: the destinations and the times of the last packets to them."""
        self.nat_timeout = 0.0

    def set_paused(self, *, is_paused: bool) -> None:
        """Disconnect or reconnect the link."""
        self.is_paused = is_paused
        self.has_restrictions = is_paused or self.nat_mappings is not None

    def set_nat(self, timeout: float) -> None:
        """Accept packets only from endpoints sent to within ``timeout`` seconds."""
        self.nat_mappings = {}
        self.nat_timeout = timeout
        self.has_restrictions = True

    def allow_outgoing(self, destination: Endpoint, now: float) -> bool:
        """Return whether a restricted link sends a packet; open its NAT mapping."""
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
        """Return why a restricted link drops an incoming packet; None if it accepts it."""
        if self.is_paused:
            return "paused"
        if self.nat_mappings is not None:
            sent_at = self.nat_mappings.get(source)
            if sent_at is None or now - sent_at > self.nat_timeout:
                return "nat"
        return None


class VirtualTransport:
    """A node's transport on a virtual network."""

    __slots__ = (
        "_is_open", "_link", "_send", "is_backlogged", "local_endpoint", "supports_ipv4",
        "supports_ipv6",
    )  # fmt: skip

    def __init__(self, link: Link, send: Callable[[Link, bytes, Endpoint], bool]) -> None:
        self.local_endpoint = link.endpoint
        self.supports_ipv6 = ":" in self.local_endpoint[0]
        self.supports_ipv4 = not self.supports_ipv6
        self.is_backlogged = False
        self._link = link
        self._send = send
        self._is_open = False

    def start(self, receive: DatagramHandler) -> None:
        """Pass incoming datagrams to ``receive``.

        Raises:
            OSError: another transport is open at this address.
        """
        if self._is_open:
            return
        if self._link.receive is not None:
            raise OSError(errno.EADDRINUSE, f"the virtual address {self.local_endpoint} is in use")
        self._link.receive = receive
        self._is_open = True

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram; return False if a socket would refuse it."""
        return self._is_open and self._send(self._link, datagram, endpoint)

    def has_unread(self) -> bool:
        """Return False: datagrams are received as they arrive."""
        return False

    def discard_backlog(self) -> int:
        """Return 0: datagrams never wait, since virtual time stands still while they arrive."""
        return 0

    def close(self) -> None:
        """Close the transport; idempotent. Packets in flight to it are lost."""
        if self._is_open:
            self._is_open = False
            self._link.receive = None
