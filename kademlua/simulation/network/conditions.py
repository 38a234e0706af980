"""The conditions of a virtual network: what befalls packets on their way."""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_UDP_PAYLOAD = 65_507
"""The longest datagram that there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConditions:
    """What befalls packets, the same for all; times in seconds. ValueError where one can't be.

    Chances are from 0 to 1, each for itself and for each packet.
    """

    loss: float = 0.0
    """The chance that it never arrives."""
    duplication: float = 0.0
    """The chance that it arrives a second time, up to another latency later."""
    reordering: float = 0.0
    """The chance that it is held back for up to another two latencies, and overtaken."""
    jitter: float = 0.0
    """The mean of what each takes longer than the pair's latency; exponential."""
    max_packet: int = MAX_UDP_PAYLOAD
    """The longest datagram in bytes that gets through."""
    bandwidth: float = 0.0
    """Bytes a second of each node's line, in each direction; 0: no limit."""
    queue: int = 0
    """Bytes that wait at most for each direction of a line; 0: no limit."""

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
