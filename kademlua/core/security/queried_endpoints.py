"""QueriedEndpoints: what was sent to endpoints that have not replied, in limited memory."""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.security.subnets import subnet_of

QUERY_INTERVAL: Final = 60.0
"""Seconds in which such an endpoint gets one query and one retransmission."""
SKIP_SECONDS: Final = 120.0
"""Seconds for which lookups skip it, as they skip dead contacts: a query would only cost time."""
MAX_QUERIED: Final = 16_384
"""Endpoints that are remembered. While there are as many of the last ``QUERY_INTERVAL``, no further
one is queried: if the oldest were forgotten, they could be queried again too soon."""
MAX_PER_SUBNET: Final = 1_024
"""Endpoints of one subnet: the named addresses of one network do not use up the memory."""


class Queried:
    """What was sent to an endpoint that has not replied."""

    __slots__ = ("awaited_until", "datagram_count", "queried_at")

    def __init__(self, queried_at: float, datagram_count: int, awaited_until: float) -> None:
        self.queried_at = queried_at
        """When the last query was sent."""
        self.datagram_count = datagram_count
        self.awaited_until = awaited_until
        """When the last query fails."""


class QueriedEndpoints:
    """The endpoints without a reply, the last query's one at the end."""

    __slots__ = ("_by_endpoint", "_count_by_subnet", "_repeated_count")

    def __init__(self) -> None:
        self._by_endpoint: dict[Endpoint, Queried] = {}
        self._count_by_subnet: dict[bytes, int] = {}
        self._repeated_count = 0

    def __len__(self) -> int:
        """Return the number of endpoints."""
        return len(self._by_endpoint)

    @property
    def has_repeated(self) -> bool:
        """Whether an endpoint was sent more than one datagram."""
        return self._repeated_count > 0

    def get(self, endpoint: Endpoint) -> Queried | None:
        """Return what was sent to an endpoint; None if that is not known."""
        return self._by_endpoint.get(endpoint)

    def record_query(self, endpoint: Endpoint, queried: Queried) -> None:
        """Remember a query: no other one is the newer."""
        self.forget(endpoint)
        self._by_endpoint[endpoint] = queried
        self._repeated_count += queried.datagram_count > 1
        subnet = subnet_of(endpoint[0])
        self._count_by_subnet[subnet] = self._count_by_subnet.get(subnet, 0) + 1

    def record_retransmission(self, queried: Queried) -> None:
        """Count one datagram more to a known endpoint."""
        queried.datagram_count += 1
        self._repeated_count += queried.datagram_count == 2

    def forget(self, endpoint: Endpoint) -> bool:
        """Forget an endpoint, and return whether it was known."""
        queried = self._by_endpoint.pop(endpoint, None)
        if queried is None:
            return False
        self._repeated_count -= queried.datagram_count > 1
        subnet = subnet_of(endpoint[0])
        self._count_by_subnet[subnet] -= 1
        if not self._count_by_subnet[subnet]:
            del self._count_by_subnet[subnet]
        if not self._by_endpoint:  # a dictionary that was emptied keeps its size
            self._by_endpoint, self._count_by_subnet = {}, {}
        return True

    def make_room_for(self, endpoint: Endpoint, now: float) -> bool:
        """Forget endpoints that lookups need not skip; return whether a new one may be queried.

        If there is no room, those that may be queried again are forgotten, too.
        """
        self._forget_before(now - SKIP_SECONDS)
        subnet = subnet_of(endpoint[0])
        if self._has_room(subnet):
            return True
        self._forget_before(now - QUERY_INTERVAL)
        return self._has_room(subnet)

    def _has_room(self, subnet: bytes) -> bool:
        is_full = len(self._by_endpoint) >= MAX_QUERIED
        return not is_full and self._count_by_subnet.get(subnet, 0) < MAX_PER_SUBNET

    def _forget_before(self, limit: float) -> None:
        """Forget the endpoints that were last queried at ``limit`` or before."""
        while self._by_endpoint:
            endpoint, queried = next(iter(self._by_endpoint.items()))
            if queried.queried_at > limit:
                return
            self.forget(endpoint)
