"""The virtual network: delivers or drops the datagrams of simulated nodes.

Each packet is one entry in the heap of the virtual loop, without a greenlet, timer or copy.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable
from struct import Struct
from typing import Final

from kademlua.core.contact import Endpoint, canonical_address
from kademlua.simulation.clock.event_queue import EventQueue
from kademlua.simulation.clock.loop import virtual_loop
from kademlua.simulation.network.conditions import MAX_UDP_PAYLOAD, NetworkConditions
from kademlua.simulation.network.latency import LatencyModel
from kademlua.simulation.network.links import Link, VirtualTransport
from kademlua.simulation.rng_streams import RngStreams

__all__ = ["NetworkConditions", "PacketObserver", "VirtualNetwork"]

logger = logging.getLogger(__name__)

PacketObserver = Callable[[float, Endpoint, Endpoint, bytes, str], None]
"""Called with time, source, destination, datagram, and ``delivered`` or the loss reason."""

_HEADER_BYTES: Final = 28
"""Bytes of the IPv4 and UDP headers, which count towards the bandwidth."""
_pack_header: Final = Struct("<dIII").pack


class VirtualNetwork:
    """A network of virtual links; usable on virtual time only."""

    _queue: EventQueue
    """The events of the first transport's loop; without a transport, no packet is sent."""

    def __init__(
        self,
        streams: RngStreams,
        latency: LatencyModel,
        conditions: NetworkConditions | None = None,
    ) -> None:
        self.conditions = conditions or NetworkConditions()
        """The conditions for packets sent from now on."""
        self.sent = 0
        """Packets sent by nodes."""
        self.delivered = 0
        """Packets that arrived; duplicates count twice."""
        self.lost: Counter[str] = Counter()
        """Lost packets by reason: ``loss``, ``too large``, ``no receiver`` (the address was
        never used), ``closed`` (its node stopped), ``cut`` (partition), ``paused``, ``nat``,
        ``queue``."""
        self.handler_errors = 0
        """Packets whose receiver raised an exception, which is logged."""
        self._streams = streams
        self._one_way = latency.one_way
        self._links: dict[Endpoint, Link] = {}
        self._groups: dict[Endpoint, int] = {}
        self._observer: PacketObserver | None = None
        self._hash = hashlib.blake2b(digest_size=16)

    def transport(self, addr: str, port: int) -> VirtualTransport:
        """Return a transport for the node at an address.

        Raises:
            ValueError: the address or port is invalid.
        """
        addr = canonical_address(addr)[0]
        if not 0 < port < 65536:
            raise ValueError(f"port must be 1 to 65535, not {port}")
        self._queue = virtual_loop().queue
        return VirtualTransport(self._link((addr, port)), self._send)

    def partition(self, groups: list[set[Endpoint]]) -> None:
        """Divide the network into groups between which no packet passes.

        Endpoints in none of ``groups`` form another group, which later endpoints join. The
        new partition replaces the previous one.

        Raises:
            ValueError: an endpoint is in two groups.
        """
        found: dict[Endpoint, int] = {}
        for number, group in enumerate(groups, start=1):
            for endpoint in group:
                if found.setdefault(endpoint, number) != number:
                    raise ValueError(f"{endpoint} is in two groups")
        self._groups = found
        for link in self._links.values():
            link.group = found.get(link.endpoint, 0)

    def heal(self) -> None:
        """End the partition."""
        self.partition([])

    def pause(self, endpoint: Endpoint) -> None:
        """Drop all packets from and to an endpoint; the timers of its node continue."""
        self._link(endpoint).set_paused(is_paused=True)

    def resume(self, endpoint: Endpoint) -> None:
        """End a pause."""
        self._link(endpoint).set_paused(is_paused=False)

    def enable_nat(self, endpoint: Endpoint, timeout: float = 60.0) -> None:
        """Deliver to the endpoint only from endpoints it sent to within ``timeout`` seconds.

        This is address- and port-dependent filtering (RFC 4787, section 5). Only outgoing
        packets refresh a mapping, and the endpoint's own address does not change.
        """
        self._link(endpoint).set_nat(timeout)

    def set_observer(self, callback: PacketObserver | None) -> None:
        """Call ``callback`` for each delivered or lost packet; None: stop."""
        self._observer = callback

    def fingerprint(self) -> str:
        """Return a hash of all delivered packets: time, source, destination and bytes."""
        return self._hash.hexdigest()

    def _link(self, endpoint: Endpoint) -> Link:
        link = self._links.get(endpoint)
        if link is None:
            link = Link(endpoint, len(self._links), self._groups.get(endpoint, 0))
            self._links[endpoint] = link
        return link

    def _send(self, source: Link, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram; return False if a socket would refuse it."""
        conditions = self.conditions
        self.sent += 1
        target = self._links.get(endpoint)
        if source.has_restrictions and not source.allow_outgoing(endpoint, self._queue.time):
            self._drop(source, endpoint, datagram, "paused")
        elif len(datagram) > conditions.max_packet:
            self._drop(source, endpoint, datagram, "too large")
            return len(datagram) <= MAX_UDP_PAYLOAD
        elif target is None:
            self._drop(source, endpoint, datagram, "no receiver")
            return (":" in endpoint[0]) == (":" in source.endpoint[0]) and 0 < endpoint[1] < 65536
        elif source.group != target.group:
            self._drop(source, endpoint, datagram, "cut")
        else:
            delay = self._one_way(source.endpoint, endpoint)
            if conditions.is_lossy:
                self._send_lossy(delay, source, target, datagram)
            else:
                self._send_uplink(delay, source, target, datagram)
        return True

    def _send_lossy(self, delay: float, source: Link, target: Link, datagram: bytes) -> None:
        """Apply random conditions to a packet.

        Each packet draws four numbers from its sender's stream under all conditions. So the
        same packets are lost with and without jitter.
        """
        conditions = self.conditions
        if source.rng is None:
            source.rng = self._streams.stream("packets", *source.endpoint)
        random = source.rng.random
        loss, duplication, reordering, jitter = random(), random(), random(), random()
        if loss < conditions.loss:
            self._drop(source, target.endpoint, datagram, "loss")
            return
        arrival_delay = delay - conditions.jitter * math.log(1 - jitter)
        if reordering < conditions.reordering:
            arrival_delay += 2 * delay * (reordering / conditions.reordering)
        sent_delay = self._send_uplink(arrival_delay, source, target, datagram)
        # The packet is duplicated in the network, after the sender's uplink.
        if duplication < conditions.duplication and sent_delay is not None:
            copy_delay = sent_delay + delay * (duplication / conditions.duplication)
            self._queue.schedule(copy_delay, self._receive_downlink, source, target, datagram)

    def _send_uplink(
        self, delay: float, source: Link, target: Link, datagram: bytes
    ) -> float | None:
        """Send a packet over the sender's uplink, which queues it if bandwidth is limited.

        Return the seconds until it reaches the receiver's downlink, or None if it was dropped.
        """
        if self.conditions.bandwidth:
            size = len(datagram) + _HEADER_BYTES
            wait = source.uplink.add(self._queue.time, size, self.conditions)
            if wait is None:
                self._drop(source, target.endpoint, datagram, "queue")
                return None
            delay += wait
        self._queue.schedule(delay, self._receive_downlink, source, target, datagram)
        return delay

    def _receive_downlink(self, source: Link, target: Link, datagram: bytes) -> None:
        """Deliver a packet over the receiver's downlink, which may queue it."""
        if not self.conditions.bandwidth:
            self._deliver(source, target, datagram)
            return
        size = len(datagram) + _HEADER_BYTES
        wait = target.downlink.add(self._queue.time, size, self.conditions)
        if wait is None:
            self._drop(source, target.endpoint, datagram, "queue")
        else:
            self._queue.schedule(wait, self._deliver, source, target, datagram)

    def _deliver(self, source: Link, target: Link, datagram: bytes) -> None:
        receive, now = target.receive, self._queue.time
        if receive is None:
            self._drop(source, target.endpoint, datagram, "closed")
            return
        if target.has_restrictions:
            reason = target.drop_reason(source.endpoint, now)
            if reason is not None:
                self._drop(source, target.endpoint, datagram, reason)
                return
        self.delivered += 1
        self._hash.update(_pack_header(now, source.index, target.index, len(datagram)))
        self._hash.update(datagram)
        if self._observer is not None:
            self._observer(now, source.endpoint, target.endpoint, datagram, "delivered")
        try:
            receive(datagram, source.endpoint)
        except Exception:  # as on a socket, only this datagram is lost
            self.handler_errors += 1
            logger.exception("processing a datagram failed")

    def _drop(self, source: Link, endpoint: Endpoint, datagram: bytes, reason: str) -> None:
        self.lost[reason] += 1
        if self._observer is not None:
            self._observer(self._queue.time, source.endpoint, endpoint, datagram, reason)
