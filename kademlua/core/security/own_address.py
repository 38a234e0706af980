"""The own address as others see it, and whether they reach it: judged from what they say.

Nothing here believes a single one of them. An address counts when most of several networks
name it, a node as out of reach when several attempts in a row to reach it came to nothing.
"""

from __future__ import annotations

from collections import Counter

from kademlua.core.contact import Endpoint, canonical_address
from kademlua.core.security.subnets import subnet_of

MIN_SUBNETS = 3
"""Votes of so many networks are needed, at least."""
VOTE_LIFETIME = 3_600.0
"""Seconds for which a vote counts."""
FAILURES_REQUIRED = 8
"""So many attempts to reach this node have to fail, more than were undecided."""
_MAX_VOTES = 32
"""Votes that are remembered."""


class ExternalAddressVotes:
    """The votes on the own endpoint; each network (IPv4 /24, IPv6 /48) has one."""

    __slots__ = ("_votes",)

    def __init__(self) -> None:
        self._votes: dict[str | bytes, tuple[Endpoint, float]] = {}
        """By the voter's network, the last one last."""

    def add(self, voter: str, addr: str, port: int, now: float) -> None:
        """Somebody at the address ``voter`` saw us there; his network's former vote is void.

        ValueError for what is no IP address. One of the other family than the voter's does not
        count: he can't have seen it.
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
        """What more than half name, of ``MIN_SUBNETS`` networks or more that voted lately; IPv4
        comes first. None where nothing is."""
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
    """Whether this node is reached unasked, from attempts that others made at its request."""

    __slots__ = ("_failures", "is_reachable")

    def __init__(self) -> None:
        self._failures = 0
        self.is_reachable: bool | None = None
        """None until it is clear."""

    def record_failure(self) -> None:
        """An attempt was made, and nothing came."""
        self._failures = min(self._failures + 1, FAILURES_REQUIRED)
        if self._failures == FAILURES_REQUIRED:
            self.is_reachable = False

    def record_success(self) -> None:
        """Somebody got through to whom nothing had been sent."""
        self._failures = 0
        self.is_reachable = True

    def record_inconclusive(self) -> None:
        """Somebody got through for whom a NAT might have been open."""
        if self.is_reachable is not False:
            self._failures = max(self._failures - 1, 0)
