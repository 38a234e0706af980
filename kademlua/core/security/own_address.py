"""The node's external address and reachability, judged from what its peers report.

No single peer is believed. An address counts if most of several subnets name it. The node counts
as unreachable if several attempts in a row to reach it fail.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from kademlua.core.contact import Endpoint, canonical_address
from kademlua.core.security.subnets import subnet_of

MIN_SUBNETS: Final = 3
"""Subnets that must vote."""
VOTE_LIFETIME: Final = 3_600.0
"""Seconds for which a vote counts."""
FAILURES_REQUIRED: Final = 8
"""Failed attempts to reach this node, more than inconclusive ones, until it is unreachable."""
_MAX_VOTES: Final = 32
"""Votes that are remembered."""


class ExternalAddressVotes:
    """Votes on the node's external endpoint, one per subnet (IPv4 /24, IPv6 /48)."""

    __slots__ = ("_votes",)

    def __init__(self) -> None:
        self._votes: dict[str | bytes, tuple[Endpoint, float]] = {}
        """By the voter's subnet, the last vote last."""

    def add(self, voter: str, addr: str, port: int, now: float) -> None:
        """Count the vote of a peer at the address ``voter``; it replaces that of the same subnet.

        An address of the other family is ignored: the peer cannot have seen it. ValueError if it
        is no IP address.
        """
        addr = canonical_address(addr)[0]
        if (":" in addr) != (":" in voter):
            return
        subnet = subnet_of(voter)
        self._votes.pop(subnet, None)
        if len(self._votes) >= _MAX_VOTES:
            del self._votes[next(iter(self._votes))]
        self._votes[subnet] = (addr, port), now

    def consensus(self, now: float) -> Endpoint | None:
        """Return the endpoint that more than half of at least ``MIN_SUBNETS`` subnets name.

        IPv4 takes precedence. None if there is no such endpoint.
        """
        for is_ipv6 in (False, True):
            seen = Counter(
                endpoint
                for endpoint, at in self._votes.values()
                if now - at <= VOTE_LIFETIME and (":" in endpoint[0]) == is_ipv6
            )
            if seen.total() >= MIN_SUBNETS:
                endpoint, count = seen.most_common(1)[0]
                if 2 * count > seen.total():
                    return endpoint
        return None


class Reachability:
    """Whether peers can reach this node, from attempts that they made at its request."""

    __slots__ = ("_failures", "is_reachable")

    def __init__(self) -> None:
        self._failures = 0
        self.is_reachable: bool | None = None
        """None until it is known."""

    def record_failure(self) -> None:
        """Record an attempt from which nothing arrived."""
        self._failures = min(self._failures + 1, FAILURES_REQUIRED)
        if self._failures == FAILURES_REQUIRED:
            self.is_reachable = False

    def record_success(self) -> None:
        """Record a packet of a node to which nothing had been sent."""
        self._failures = 0
        self.is_reachable = True

    def record_inconclusive(self) -> None:
        """Record a packet of a node for which a NAT may have been open."""
        if self.is_reachable is not False:
            self._failures = max(self._failures - 1, 0)
