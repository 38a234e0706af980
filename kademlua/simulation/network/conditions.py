"""The conditions of a virtual network: loss, delay and limits."""

from __future__ import annotations

from dataclasses import dataclass

from kademlua.simulation.scenario.toml_table import fraction, integer, number, seconds, setting

MAX_UDP_PAYLOAD = 65_507
"""The largest payload of a UDP datagram, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConditions:
    """The conditions for all packets. Probabilities are 0 to 1 and apply per packet."""

    jitter: float = setting(seconds, 0.0, high=60)
    """The mean of the additional exponential delay, in seconds."""
    loss: float = setting(fraction, 0.0)
    """The probability that a packet is lost."""
    duplication: float = setting(fraction, 0.0)
    """The probability that a packet arrives twice, the copy up to one latency later."""
    reordering: float = setting(fraction, 0.0)
    """The probability of an additional delay of up to two latencies."""
    bandwidth: float = setting(number, 0.0, low=0, high=1e12)
    """Bytes per second of each node's link, in each direction; 0: no limit."""
    queue: int = setting(integer, 65_536, low=0, high=1 << 40)
    """The queue limit of each direction of a link, in bytes; 0: no limit."""
    max_packet: int = setting(integer, MAX_UDP_PAYLOAD, low=60, high=MAX_UDP_PAYLOAD)
    """The largest datagram that the network delivers, in bytes."""

    @property
    def is_lossy(self) -> bool:
        """Whether the fate of a packet depends on chance."""
        return bool(self.loss or self.duplication or self.reordering or self.jitter)
