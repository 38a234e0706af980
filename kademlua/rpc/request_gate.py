"""The request gate: whether a request is served, how long its reply may be, and after which proof.

It decides before a request is dispatched, in two steps: ``admit`` before the datagram is decoded,
since a request over a limit must cost as little as possible, and ``clear`` for the RPCs that only
validated senders may use.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final

from kademlua.core.contact import Endpoint
from kademlua.core.reasons import DropReason
from kademlua.core.routing.bucket import TableEntry
from kademlua.core.security.validated_addresses import VALIDATION_LIFETIME
from kademlua.core.wire.packets import MAX_DATAGRAM, UNLIMITED, VALIDATED, Permit, Request
from kademlua.core.wire.rpc_table import Rpc
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.rate_limits import MIN_REQUEST_TIME, RequestLimits
from kademlua.runtime.context import Context

AMPLIFICATION_LIMIT: Final = 3
"""Bytes that an unvalidated sender gets for each byte that it sent."""
_V10_DATAGRAM_BYTES: Final = 16_384
"""The largest datagram that the original receives."""
_STORE_OVERHEAD_BYTES: Final = 1_024
"""Bytes of a store around its value, at most."""


class Clearance(Enum):
    """What happens to a request of an RPC that needs a validated sender."""

    SERVED = auto()
    DEFERRED = auto()
    """It is served once its sender has answered a ping."""
    REFUSED = auto()


class RequestGate:
    """The gate of one node."""

    __slots__ = ("_limits", "_max_unvalidated_bytes", "_stats", "_validator")

    def __init__(self, context: Context, validator: AddressValidator) -> None:
        params = context.params
        self._stats = context.stats
        self._validator = validator
        self._limits = RequestLimits(context)
        self._max_unvalidated_bytes = max(
            _V10_DATAGRAM_BYTES, params.max_value_bytes + _STORE_OVERHEAD_BYTES
        )
        if context.diversity_limits.is_private_network:  # all senders have shown its key
            self._max_unvalidated_bytes = MAX_DATAGRAM

    def admit(
        self, size: int, endpoint: Endpoint, entry: TableEntry | None, now: float
    ) -> Permit | None:
        """Return what a request of ``size`` bytes permits its sender.

        ``entry`` is that of the contact at this endpoint. Return None, and count the request, if it
        exceeds a rate limit or is too large.
        """
        is_validated = (
            entry is not None and now - entry.last_replied <= VALIDATION_LIFETIME
        ) or self._validator.validated_addresses.is_remembered(endpoint, now)
        is_exempt = self._limits.is_exempt(endpoint, entry)
        if not is_exempt and not self._limits.allow_request(
            endpoint, now, is_validated=is_validated
        ):
            return None
        if is_validated:
            return UNLIMITED if is_exempt else VALIDATED
        if size > self._max_unvalidated_bytes:
            self._stats.dropped[DropReason.TOO_LARGE] += 1
            return None
        # A ping to the sender, to validate it, counts too.
        budget = AMPLIFICATION_LIMIT * size - self._validator.ping_bytes
        return Permit(is_validated=False, reply_budget=budget, is_limited=not is_exempt)

    def clear(self, request: Request, endpoint: Endpoint, rpc: Rpc) -> Clearance:
        """Return whether an RPC that only validated senders may use is served."""
        if request.permit.is_limited and not rpc.only_reads:
            entries = _argument(request, rpc.entries_argument)
            count = len(entries) if type(entries) is list else 1
            if not self._limits.allow_write(request, endpoint, count):
                return Clearance.REFUSED
        if request.permit.is_validated or self._validator.accept_token(
            request, endpoint, _argument(request, 0), _argument(request, rpc.token_argument)
        ):
            return Clearance.SERVED
        return Clearance.DEFERRED

    def charge(self, request_time: float, endpoint: Endpoint, now: float, permit: Permit) -> None:
        """Charge a sender for the seconds that its request took, if it took long."""
        if request_time > MIN_REQUEST_TIME:
            self._limits.charge_time(request_time, endpoint, now, is_validated=permit.is_validated)


def _argument(request: Request, index: int | None) -> Any:
    return request.args[index] if index is not None and len(request.args) > index else None
