"""Validated addresses: endpoints that recently proved to receive what is sent to them.

The source of a datagram can be forged. A peer proves its address by
returning a number that was sent only there (RFC 9000, section 8: address validation).
"""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.routing.table import RoutingTable

VALIDATION_LIFETIME: Final = 600.0
"""Seconds for which an address stays validated."""
_SWEEP_INTERVAL: Final = 300.0
MAX_ENDPOINTS: Final = 16_384
"""Endpoints outside the table that are remembered; beyond that, the older half is forgotten."""


class ValidatedAddresses:
    """The endpoints validated in the last ten minutes.

    For contacts in the routing table, it uses the time of their last reply.
    """

    __slots__ = ("_limit", "_next_sweep_at", "_table", "_validated_at")

    def __init__(self, table: RoutingTable, limit: int = MAX_ENDPOINTS) -> None:
        self._table = table
        self._validated_at: dict[Endpoint, float] = {}
        self._limit = limit
        self._next_sweep_at = 0.0

    def __len__(self) -> int:
        """Return the number of endpoints outside the table."""
        return len(self._validated_at)

    def mark(self, endpoint: Endpoint, now: float) -> None:
        """Mark an endpoint as validated. Update the routing table first if it replied."""
        entry = self._table.get_by_endpoint(endpoint)
        if entry is not None and entry.last_replied == now:
            return
        if now >= self._next_sweep_at or len(self._validated_at) >= self._limit:
            self._sweep(now)
        self._validated_at[endpoint] = now

    def is_validated(self, endpoint: Endpoint, now: float) -> bool:
        """Return whether an endpoint was validated recently."""
        entry = self._table.get_by_endpoint(endpoint)
        if entry is not None and now - entry.last_replied <= VALIDATION_LIFETIME:
            return True
        return self.is_remembered(endpoint, now)

    def is_remembered(self, endpoint: Endpoint, now: float) -> bool:
        """Return the same without the routing table."""
        validated_at = self._validated_at.get(endpoint)
        return validated_at is not None and now - validated_at <= VALIDATION_LIFETIME

    def _sweep(self, now: float) -> None:
        self._next_sweep_at = now + _SWEEP_INTERVAL
        self._validated_at = {
            each: at for each, at in self._validated_at.items() if now - at <= VALIDATION_LIFETIME
        }
        if len(self._validated_at) >= self._limit:
            rows = sorted(self._validated_at.items(), key=lambda row: row[1])
            self._validated_at = dict(rows[len(rows) // 2 :])
