"""Rate limits: the share of a node's time and disk that one source, or unvalidated peers, may have.

A request is charged for what it cost and not as one of many: a reply that reads a thousand values
takes as long as a hundred pings. The cost of a request is the time that the node took for it, by
the node's own clock; stores and removes are charged for their bytes in addition, since their value
is written to disk and replicated later. A simulation's clock stands while a node works: there each
request costs the minimum, and a run remains reproducible.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.routing.bucket import TableEntry
from kademlua.core.security.rate_limit import KeyedRateLimiter, RateLimiter
from kademlua.core.security.subnets import is_private_address, subnet_of
from kademlua.core.wire.packets import Request
from kademlua.runtime.context import Context

MIN_REQUEST_TIME: Final = 20e-6
"""Seconds that a request counts as if it took less."""
_MAX_REQUEST_TIME: Final = 0.01
"""Seconds that a request counts as if it took more: probably the system ran something else."""
_MIN_STORE_BYTES: Final = 5_000
"""Bytes that a store or remove counts as if it had fewer."""
_BURST_SECONDS: Final = 2
"""Seconds of the permitted rate that may arrive together."""
_PRIVATE_FACTOR: Final = 20
"""Rate limit of a loopback or private endpoint, or of any in a private network, as a multiple of a
subnet's.

It applies only while the node has a backlog: the owner of a machine may load it.
"""
_MAX_SUBNETS: Final = 2_048
"""Subnets whose rate is remembered."""


class RequestLimits:
    """The rate limits of one node."""

    def __init__(self, context: Context) -> None:
        params = context.params
        self._rate_limited = context.stats.rate_limited
        self._exempt_private = params.exempt_private
        self._exempt_all = context.diversity_limits.is_private_network
        self._transport = context.transport
        self._times = _Limits(
            "requests", params.request_time_per_subnet, params.unvalidated_request_time
        )
        self._store_bytes = _Limits(
            "stores", params.store_bytes_per_subnet, params.unvalidated_store_bytes
        )

    def allow_request(self, endpoint: Endpoint, now: float, *, is_validated: bool) -> bool:
        """Return whether a request of no exempt endpoint is within the limits; count it if not."""
        return self._try_acquire(
            self._times, endpoint, now, MIN_REQUEST_TIME, is_validated=is_validated
        )

    def charge_time(
        self, seconds: float, endpoint: Endpoint, now: float, *, is_validated: bool
    ) -> None:
        """Charge for an allowed request that took more than ``MIN_REQUEST_TIME``."""
        cost = min(seconds, _MAX_REQUEST_TIME) - MIN_REQUEST_TIME
        limiter, source = self._source(self._times, endpoint)
        limiter.charge(source, now, cost)
        if not is_validated:
            self._times.unvalidated_limiter.charge(now, cost)

    def allow_write(self, request: Request, endpoint: Endpoint, count: int) -> bool:
        """Return whether ``count`` stores or removes in a request of no exempt endpoint are within
        the limits; count the request if not."""
        return self._try_acquire(
            self._store_bytes,
            endpoint,
            request.received_at,
            max(request.size, count * _MIN_STORE_BYTES),
            is_validated=request.permit.is_validated,
        )

    def _try_acquire(
        self, limits: _Limits, endpoint: Endpoint, now: float, cost: float, *, is_validated: bool
    ) -> bool:
        limiter, source = self._source(limits, endpoint)
        if not limiter.try_acquire(source, now, cost):
            self._rate_limited[f"{limits.operation} of one source"] += 1
            return False
        if not is_validated and not limits.unvalidated_limiter.try_acquire(now, cost):
            self._rate_limited[f"unvalidated {limits.operation}"] += 1
            return False
        return True

    def is_exempt(self, endpoint: Endpoint, entry: TableEntry | None) -> bool:
        """Return whether no rate limit applies to this endpoint now.

        ``entry`` is that of the contact there, if it is known.
        """
        if not self._exempt_private or self._transport.is_backlogged:
            return False
        if self._exempt_all:
            return True
        return is_private_address(endpoint[0]) if entry is None else entry.contact.is_private

    def _source(self, limits: _Limits, endpoint: Endpoint) -> tuple[KeyedRateLimiter, Hashable]:
        """Return the limiter for an endpoint, and the source as which it counts there."""
        addr = endpoint[0]
        if self._exempt_private and (self._exempt_all or is_private_address(addr)):
            return limits.private_limiter, endpoint
        return limits.subnet_limiter, subnet_of(addr)


class _Limits:
    """Limiters for one kind of cost per second."""

    def __init__(self, operation: str, subnet_rate: float, unvalidated_rate: float) -> None:
        self.operation = operation
        self.subnet_limiter = _limiter_by_source(subnet_rate)
        self.private_limiter = _limiter_by_source(_PRIVATE_FACTOR * subnet_rate)
        self.unvalidated_limiter = RateLimiter(unvalidated_rate, _BURST_SECONDS * unvalidated_rate)


def _limiter_by_source(rate: float) -> KeyedRateLimiter:
    return KeyedRateLimiter(rate, _BURST_SECONDS * rate, _MAX_SUBNETS)
