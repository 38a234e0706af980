"""Verified addresses: from where somebody has shown lately that he receives what is sent there.

The source of a datagram can be forged. Who answers with a number that was sent to him alone
is there (RFC 9000, section 8, calls it address validation).
"""

from __future__ import annotations

from kademlua.core.contact import Endpoint
from kademlua.core.routing.table import RoutingTable

VERIFIED_FOR = 600.0
"""Seconds."""
_SWEEP_EVERY = 300.0
LIMIT = 16_384
"""Endpoints outside of the table that are remembered; beyond that the older half is forgotten."""


class Verified:
    """The endpoints that were verified in the last ten minutes: the routing table's, which knows
    when each peer answered, and others."""

    __slots__ = ("_at", "_limit", "_sweep_at", "_table")

    def __init__(self, table: RoutingTable, limit: int = LIMIT) -> None:
        self._table = table
        self._at: dict[Endpoint, float] = {}
        self._limit = limit
        self._sweep_at = 0.0

    def __len__(self) -> int:
        """How many are remembered that are not the table's."""
        return len(self._at)

    def note(self, endpoint: Endpoint, now: float) -> None:
        """This endpoint just proved itself. Where it did so by an answer, the table is to be
        told before."""
        peer = self._table.at(endpoint)
        if peer is not None and peer.answered == now:
            return
        if now >= self._sweep_at or len(self._at) >= self._limit:
            self._sweep(now)
        self._at[endpoint] = now

    def has(self, endpoint: Endpoint, now: float) -> bool:
        """Whether an endpoint proved itself lately."""
        peer = self._table.at(endpoint)
        if peer is not None and now - peer.answered <= VERIFIED_FOR:
            return True
        at = self._at.get(endpoint)
        return at is not None and now - at <= VERIFIED_FOR

    def _sweep(self, now: float) -> None:
        self._sweep_at = now + _SWEEP_EVERY
        self._at = {each: at for each, at in self._at.items() if now - at <= VERIFIED_FOR}
        if len(self._at) >= self._limit:
            rows = sorted(self._at.items(), key=lambda row: row[1])
            self._at = dict(rows[len(rows) // 2 :])
