"""The conditions of a virtual network: loss, delay and limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_UDP_PAYLOAD = 65_507
"""The largest payload of a UDP datagram, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConditions:
    """The conditions for all packets. Probabilities are 0 to 1 and apply per packet.

    Raises:
        ValueError: a value is out of range.
    """

    loss: float = 0.0
    """The probability that a packet is lost."""
    duplication: float = 0.0
    """The probability that a packet arrives twice, the copy up to one latency later."""
    reordering: float = 0.0
    """The probability of an additional delay of up to two latencies."""
    jitter: float = 0.0
    """The mean of the additional exponential delay, in seconds."""
    max_packet: int = MAX_UDP_PAYLOAD
    """The largest datagram that the network delivers, in bytes."""
    bandwidth: float = 0.0
    """Bytes per second of each node's link, in each direction; 0: no limit."""
    queue: int = 0
    """The queue limit of each direction of a link, in bytes; 0: no limit."""

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reordering"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must be 0 to 1, not {getattr(self, name)!r}")
        for name in ("jitter", "bandwidth", "queue"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be 0 or more, not {getattr(self, name)!r}")
        if not 1 <= self.max_packet <= MAX_UDP_PAYLOAD:
            raise ValueError(
                f"max_packet: must be 1 to {MAX_UDP_PAYLOAD:,}, not {self.max_packet!r}"
            )
