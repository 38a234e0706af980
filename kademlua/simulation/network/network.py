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

from kademlua.core.contact import Endpoint, canonical_address
from kademlua.simulation.clock.loop import VirtualLoop, virtual_loop
from kademlua.simulation.network.conditions import MAX_UDP_PAYLOAD, NetworkConditions
from kademlua.simulation.network.latency import LatencyModel
from kademlua.simulation.network.links import Link, VirtualTransport
from kademlua.simulation.rng_streams import RngStreams

__all__ = ["NetworkConditions", "PacketObserver", "VirtualNetwork"]

logger = logging.getLogger(__name__)

PacketObserver = Callable[[float, Endpoint, Endpoint, bytes, str], None]
"""Called with time, source, destination, datagram, and ``delivered`` or the loss reason."""

_HEADER_BYTES = 28
"""Bytes of the IPv4 and UDP headers, which count towards the bandwidth."""
_MAX_UNHASHED = 512
"""Pieces of the fingerprint that are collected before they are hashed."""
_pack_header = Struct("<dIII").pack


class VirtualNetwork:
    """A network of virtual links; usable on virtual time only."""

    def __init__(
        self,
        streams: RngStreams,
        latency: LatencyModel,
        conditions: NetworkConditions | None = None,
    ) -> None:
        """Create a network; assign ``conditions`` to change them while it runs."""
        self.sent = 0
        """Packets sent by nodes."""
        self.delivered = 0
        """Packets that arrived; duplicates count twice."""
        self.lost: Counter[str] = Counter()
        """Lost packets by reason: ``loss``, ``too large``, ``nobody`` (the address was never
        used), ``closed`` (its node stopped), ``cut`` (partition), ``paused``, ``nat``,
        ``queue``."""
        self.handler_errors = 0
        """Packets whose receiver raised an exception, which is logged."""
        self._streams = streams
        self._one_way = latency.one_way
        self._links: dict[Endpoint, Link] = {}
        self._groups: dict[Endpoint, int] = {}
        self._observer: PacketObserver | None = None
        self._hash = hashlib.blake2b(digest_size=16)
        self._unhashed: list[bytes] = []
        self._loop: VirtualLoop | None = None
        self.conditions = conditions or NetworkConditions()

    @property
    def conditions(self) -> NetworkConditions:
        """The conditions for packets sent from now on."""
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: NetworkConditions) -> None:
        self._conditions = conditions
        self._max_packet = conditions.max_packet
        self._bandwidth = conditions.bandwidth
        self._is_lossy = bool(
            conditions.loss or conditions.duplication or conditions.reordering or conditions.jitter
        )

    def transport(self, addr: str, port: int) -> VirtualTransport:
        """Return a transport for the node at an address.

        Raises:
            ValueError: the address or port is invalid.
        """
        addr = canonical_address(addr)[0]
        if not 0 < port < 65536:
            raise ValueError(f"port must be 1 to 65535, not {port}")
        self._loop = virtual_loop()
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
        self._link(endpoint).enable_nat(timeout)

    def disable_nat(self, endpoint: Endpoint) -> None:
        """Deliver to the endpoint from all endpoints again."""
        self._link(endpoint).disable_nat()

    def set_observer(self, callback: PacketObserver | None) -> None:
        """Call ``callback`` for each delivered or lost packet; None: stop."""
        self._observer = callback

    def fingerprint(self) -> str:
        """Return a hash of all delivered packets: time, source, destination and bytes."""
        self._hash_pending()
        return self._hash.hexdigest()

    def _link(self, endpoint: Endpoint) -> Link:
        link = self._links.get(endpoint)
        if link is None:
            link = Link(endpoint, len(self._links), self._groups.get(endpoint, 0))
            self._links[endpoint] = link
        return link

    def _send(self, source: Link, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram; return False if a socket would refuse it."""
        loop = self._loop
        assert loop is not None
        self.sent += 1
        target = self._links.get(endpoint)
        if source.has_restrictions and not source.allow_outgoing(endpoint, loop.time):
            self._drop(source, endpoint, datagram, "paused")
        elif len(datagram) > self._max_packet:
            self._drop(source, endpoint, datagram, "too large")
            return len(datagram) <= MAX_UDP_PAYLOAD
        elif target is None:
            self._drop(source, endpoint, datagram, "nobody")
            return (":" in endpoint[0]) == (":" in source.endpoint[0]) and 0 < endpoint[1] < 65536
        elif source.group != target.group:
            self._drop(source, endpoint, datagram, "cut")
        else:
            delay = self._one_way(source.endpoint, endpoint)
            if self._is_lossy:
                self._send_lossy(loop, delay, source, target, datagram)
            elif self._bandwidth:
                self._send_uplink(loop, delay, source, target, datagram)
            else:
                loop.schedule(delay, self._deliver, source, target, datagram)
        return True

    def _send_lossy(
        self, loop: VirtualLoop, delay: float, source: Link, target: Link, datagram: bytes
    ) -> None:
        """Apply random conditions to a packet.

        Each packet draws four numbers from its sender's stream under all conditions. So the
        same packets are lost with and without jitter.
        """
        conditions = self._conditions
        rng = source.rng
        if rng is None:
            rng = source.rng = self._streams.stream("packets", *source.endpoint)
        random = rng.random
        loss, duplication, reordering, jitter = random(), random(), random(), random()
        if loss < conditions.loss:
            self._drop(source, target.endpoint, datagram, "loss")
            return
        arrival_delay = delay
        if conditions.jitter:
            arrival_delay -= conditions.jitter * math.log(1 - jitter)
        if reordering < conditions.reordering:
            arrival_delay += 2 * delay * (reordering / conditions.reordering)
        if self._bandwidth:
            arrival_delay = self._send_uplink(loop, arrival_delay, source, target, datagram)
        else:
            loop.schedule(arrival_delay, self._deliver, source, target, datagram)
        # The packet is duplicated in the network, after the sender's uplink.
        if duplication < conditions.duplication and arrival_delay >= 0:
            arrival_delay += delay * (duplication / conditions.duplication)
            arrive = self._receive_downlink if self._bandwidth else self._deliver
            loop.schedule(arrival_delay, arrive, source, target, datagram)

    def _send_uplink(
        self, loop: VirtualLoop, delay: float, source: Link, target: Link, datagram: bytes
    ) -> float:
        """Queue a packet on the sender's uplink.

        Return the seconds until it reaches the receiver's downlink, or -1 if it was dropped.
        """
        now = loop.time
        wait = max(0.0, source.uplink_free_at - now)
        if self._is_queue_full(wait, datagram):
            self._drop(source, target.endpoint, datagram, "queue")
            return -1
        wait += (len(datagram) + _HEADER_BYTES) / self._bandwidth
        source.uplink_free_at = now + wait
        delay += wait
        loop.schedule(delay, self._receive_downlink, source, target, datagram)
        return delay

    def _receive_downlink(self, source: Link, target: Link, datagram: bytes) -> None:
        """Queue a packet on the receiver's downlink."""
        loop = self._loop
        assert loop is not None
        if not self._bandwidth:  # the limit was removed while the packet was in flight
            self._deliver(source, target, datagram)
            return
        wait = max(0.0, target.downlink_free_at - loop.time)
        if self._is_queue_full(wait, datagram):
            self._drop(source, target.endpoint, datagram, "queue")
            return
        wait += (len(datagram) + _HEADER_BYTES) / self._bandwidth
        target.downlink_free_at = loop.time + wait
        loop.schedule(wait, self._deliver, source, target, datagram)

    def _is_queue_full(self, wait: float, datagram: bytes) -> bool:
        queue = self._conditions.queue
        return bool(queue) and wait * self._bandwidth + len(datagram) + _HEADER_BYTES > queue

    def _deliver(self, source: Link, target: Link, datagram: bytes) -> None:
        loop = self._loop
        assert loop is not None
        receive = target.receive
        if receive is None:
            self._drop(source, target.endpoint, datagram, "closed")
            return
        now = loop.time
        if target.has_restrictions:
            reason = target.drop_reason(source.endpoint, now)
            if reason is not None:
                self._drop(source, target.endpoint, datagram, reason)
                return
        self.delivered += 1
        unhashed = self._unhashed
        unhashed.append(_pack_header(now, source.index, target.index, len(datagram)))
        unhashed.append(datagram)
        if len(unhashed) >= _MAX_UNHASHED:
            self._hash_pending()
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
            assert self._loop is not None
            self._observer(self._loop.time, source.endpoint, endpoint, datagram, reason)

    def _hash_pending(self) -> None:
        self._hash.update(b"".join(self._unhashed))
        self._unhashed.clear()
