"""Round-trip times, smoothed with their deviation as TCP does it (RFC 6298)."""

from __future__ import annotations


class RttEstimator:
    """What is known of the time that a path takes; -1 until the first sample."""

    __slots__ = ("rttvar", "srtt")

    def __init__(self) -> None:
        self.srtt = -1.0
        """Seconds."""
        self.rttvar = 0.0

    def add_sample(self, seconds: float) -> None:
        """Take in one measured round trip."""
        srtt = self.srtt
        if srtt < 0:
            self.srtt = seconds
            self.rttvar = seconds / 2
            return
        error = seconds - srtt
        self.srtt = srtt + error / 8
        self.rttvar += (abs(error) - self.rttvar) / 4

    def rto(self, minimum: float, maximum: float) -> float:
        """How long an answer may take before it is late: ``maximum`` while unknown.

        Two deviations and not TCP's four: what follows is one more packet, not a stall.
        """
        if self.srtt < 0:
            return maximum
        return min(max(self.srtt + 2 * self.rttvar, minimum), maximum)
