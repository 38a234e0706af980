"""Round-trip times, smoothed with their deviation as TCP does it (RFC 6298)."""

from __future__ import annotations


class RoundTrip:
    """What is known of the time that a path takes; -1 until the first sample."""

    __slots__ = ("deviation", "smoothed")

    def __init__(self) -> None:
        self.smoothed = -1.0
        """Seconds."""
        self.deviation = 0.0

    def sample(self, seconds: float) -> None:
        """Take in one measured round trip."""
        smoothed = self.smoothed
        if smoothed < 0:
            self.smoothed = seconds
            self.deviation = seconds / 2
            return
        error = seconds - smoothed
        self.smoothed = smoothed + error / 8
        self.deviation += (abs(error) - self.deviation) / 4

    def patience(self, least: float, most: float) -> float:
        """How long an answer may take before it is late: ``most`` while unknown.

        Two deviations and not TCP's four: what follows is one more packet, not a stall.
        """
        if self.smoothed < 0:
            return most
        return min(max(self.smoothed + 2 * self.deviation, least), most)
