"""Round-trip time estimation (RFC 6298)."""

from __future__ import annotations


class RttEstimator:
    """The smoothed round-trip time of a path and its variation; -1 before the first sample."""

    __slots__ = ("rttvar", "srtt")

    def __init__(self) -> None:
        self.srtt = -1.0
        """Smoothed round-trip time in seconds."""
        self.rttvar = 0.0

    def add_sample(self, seconds: float, resent_after: float = 0.0) -> None:
        """Add a measured round trip.

        One of less than half the average counts more than in RFC 6298: the load has passed.

        If the request was sent again after ``resent_after`` seconds, the reply does not tell which
        of the two it answers (Karn and Partridge 1987). Unless the round trip was longer than the
        RTO either way, the RTO grows (RFC 6298, section 5.5) to at most three times the average.
        If it still is too short, the first request was answered.
        """
        srtt = self.srtt
        if srtt < 0:
            self.srtt = seconds
            self.rttvar = seconds / 2
            return
        if resent_after > 0:
            rto = srtt + 2 * self.rttvar
            if seconds - resent_after > rto:
                seconds -= resent_after
            elif self.rttvar < srtt:
                self.rttvar += rto / 8
                return
        error = seconds - srtt
        if 2 * seconds < srtt:
            self.srtt = srtt + error / 2
            self.rttvar /= 2
            return
        self.srtt = srtt + error / 8
        self.rttvar += (abs(error) - self.rttvar) / 4

    def rto(self, minimum: float, maximum: float) -> float:
        """Return the retransmission timeout; ``maximum`` before the first sample.

        It adds two deviations, not four as in TCP: a retransmission costs one packet, not a stall.
        """
        if self.srtt < 0:
            return maximum
        return min(max(self.srtt + 2 * self.rttvar, minimum), maximum)
