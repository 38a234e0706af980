"""Strangers: how much is done for senders whose address may be forged.

Nothing that a stranger sends may cost a third party more than three times its bytes (RFC 9000,
section 8.1), or this node more than a bounded share of its time and memory. So answers to
strangers are short, or wait until a ping has been answered; and so do their stores.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import DeferralOutcome, Purpose
from kademlua.core.security.rate_limit import KeyedRateLimiter, RateLimiter
from kademlua.core.security.subnets import is_private_address, subnet_of
from kademlua.core.security.validated_addresses import ValidatedAddresses
from kademlua.core.security.write_tokens import WriteTokens
from kademlua.core.wire.packets import HEADER_BYTES, MAX_DATAGRAM, Request
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

AMPLIFICATION_LIMIT = 3
"""An unverified sender gets at most so many bytes for each of his."""
_BURST_SECONDS = 2
"""Seconds' worth that may come at once."""
_PRIVATE_FACTOR = 20
"""A loopback or private endpoint has so many times the bound of a source, while bounds hold for
it at all: whoever loads a node of his own shall not have to wait for it."""
_MAX_SUBNETS = 2_048
"""Sources whose buckets are remembered."""
_MAX_PER_ENDPOINT = 16
"""Requests of one endpoint that may wait for its answer to a ping."""
_MAX_PINGS = 3
"""Pings to one endpoint under way; each was drawn by a datagram of its own."""
_MAX_DEFERRED_BYTES = 1 << 18
"""Of all requests that wait."""
_DECODED_FACTOR = 16
"""A value that is no byte string takes so many times its bytes in memory."""

Resume = Callable[[], object]


class AddressValidator:
    """Keeps one node from serving strangers at the cost of others."""

    def __init__(self, context: Context, client: RpcClient) -> None:
        params = context.params
        self._context = context
        self._client = client
        self._stats = context.stats
        self._exempt_private = params.exempt_private
        self._transport = context.transport
        self._request_limits = _RateLimits(
            "requests", params.request_rate_per_subnet, params.unvalidated_request_rate
        )
        self._store_limits = _RateLimits(
            "stores", params.store_rate_per_subnet, params.unvalidated_store_rate
        )
        self._ping_limiter = RateLimiter(params.max_deferred, params.max_deferred)
        self._pending: dict[Contact, _PendingValidation] = {}
        """What waits for whose answer to a ping."""
        self._deferred_count = self._deferred_bytes = 0
        self.validated_addresses = ValidatedAddresses(context.table)
        self.write_tokens = WriteTokens(context.rng)

    # Whether, and with how much, a request is answered.

    def grant_reply_budget(
        self, size: int, endpoint: Endpoint, now: float, *, is_validated: bool
    ) -> int:
        """How many bytes the answer to a request of ``size`` bytes may have; 0 where there are
        too many requests, which is counted."""
        if not self._is_exempt(endpoint):
            exceeded = self._charge(self._request_limits, endpoint, is_validated, now)
            if exceeded is not None:
                self._stats.rate_limited[exceeded] += 1
                return 0
        if is_validated:
            return MAX_DATAGRAM
        return AMPLIFICATION_LIMIT * size - self._ping_bytes()  # it may be pinged besides

    def allow_write(self, request: Request, endpoint: Endpoint) -> bool:
        """Whether one store, or remove, more is taken from here; where not, it is counted."""
        if self._is_exempt(endpoint):
            return True
        is_validated, now = request.is_validated, self._context.clock()
        exceeded = self._charge(self._store_limits, endpoint, is_validated, now)
        if exceeded is None:
            return True
        self._stats.rate_limited[exceeded] += 1
        return False

    def _ping_bytes(self) -> int:
        return HEADER_BYTES + len(self._client.ping_request.payload)

    def _is_exempt(self, endpoint: Endpoint) -> bool:
        """Whether no bound holds for this source just now."""
        return (
            self._exempt_private
            and not self._transport.is_backlogged
            and is_private_address(endpoint[0])
        )

    def _charge(
        self, limits: _RateLimits, endpoint: Endpoint, is_validated: bool, now: float
    ) -> str | None:
        addr = endpoint[0]
        if self._exempt_private and is_private_address(addr):
            return limits.charge(limits.private_limiter, endpoint, is_validated, now)
        return limits.charge(limits.subnet_limiter, subnet_of(addr), is_validated, now)

    # Tokens.

    def issue_token(self, request: Request, endpoint: Endpoint, key: bytes) -> bytes:
        """What the sender may show when he stores under a key; empty where he needs nothing,
        or could not read it."""
        if request.is_validated or not request.version:
            return b""
        return self.write_tokens.issue(endpoint, request.sender_id, key, self._context.clock())

    def accept_token(
        self, request: Request, endpoint: Endpoint, key: object, token: object
    ) -> bool:
        """Whether the sender shows a token for a key: then his address is verified."""
        now = self._context.clock()
        if type(key) is not bytes or not self.write_tokens.verify(
            token, endpoint, request.sender_id, key, now
        ):
            return False
        self.validated_addresses.mark(endpoint, now)
        request.mark_validated()
        return True

    # Who has to answer a ping first.

    def memory_size(self, request: Request) -> int:
        """About how many bytes an unverified sender's request takes in memory."""
        size = (request.reply_budget + self._ping_bytes()) // AMPLIFICATION_LIMIT
        return (
            size if all(type(arg) is not list for arg in request.args) else _DECODED_FACTOR * size
        )

    def defer(self, request: Request, endpoint: Endpoint, size: int, resume: Resume) -> None:
        """Call ``resume`` once the sender has answered a ping, unless it takes too long, or too
        much waits already; ``size`` is how many bytes wait. It must not block."""
        contact = Contact(*endpoint, request.sender_id)
        pending = self._pending.get(contact)
        if pending is not None and request.rpc_id in pending.deferred:
            if pending.pings_in_flight < _MAX_PINGS:  # sent once more: perhaps our ping was lost
                self._send_ping(contact, pending)
            return
        is_too_large = size > _MAX_DEFERRED_BYTES  # all others would give way to it, and it as well
        if pending is None and not is_too_large:
            pending = self._start_validation(contact)
        if pending is None or is_too_large or len(pending.deferred) >= _MAX_PER_ENDPOINT:
            self._stats.deferred[DeferralOutcome.NO_SPACE] += 1
            return
        pending.deferred[request.rpc_id] = size, resume
        self._deferred_count += 1
        self._deferred_bytes += size
        # The oldest give way: with a flood of forged ones, those last who answer soonest.
        while (
            self._deferred_count > self._context.params.max_deferred
            or self._deferred_bytes > _MAX_DEFERRED_BYTES
        ):
            self._stats.deferred[DeferralOutcome.NO_SPACE] += len(
                self._pop_deferred(next(iter(self._pending)))
            )

    def _start_validation(self, contact: Contact) -> _PendingValidation | None:
        """Ping a stranger, so that he can prove his address, if there is room for it."""
        pending = _PendingValidation()
        self._send_ping(contact, pending)
        if not pending.pings_in_flight:
            return None
        self._pending[contact] = pending
        return pending

    def _send_ping(self, contact: Contact, pending: _PendingValidation) -> None:
        if not self._ping_limiter.try_acquire(self._context.clock()):
            return
        try:
            self._client.send(contact.endpoint, contact, self._client.ping_request, self._on_pong)
        except KademluaError:
            return
        pending.pings_in_flight += 1
        self._stats.calls_by_purpose[Purpose.PROBE] += 1

    def request_validation(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender where he would get more if he had proved his address."""
        if request.is_validated:
            return
        contact = Contact(*endpoint, request.sender_id)
        if contact not in self._pending:
            self._start_validation(contact)

    def is_validating(self, contact: Contact) -> bool:
        """Whether a stranger was pinged just now."""
        return contact in self._pending

    def _on_pong(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        assert call.contact is not None
        pending = self._pending.get(call.contact)
        if pending is None:  # another ping was answered before, or there was no room
            return
        if isinstance(result, (RpcTimeout, NodeClosed)):
            pending.pings_in_flight -= 1
            if not pending.pings_in_flight:
                self._stats.deferred[DeferralOutcome.NO_PROOF] += len(
                    self._pop_deferred(call.contact)
                )
            return
        for resume in self._pop_deferred(call.contact):
            self._stats.deferred[DeferralOutcome.SERVED] += 1
            resume()

    def _pop_deferred(self, contact: Contact) -> list[Resume]:
        deferred = self._pending.pop(contact).deferred.values()
        self._deferred_count -= len(deferred)
        self._deferred_bytes -= sum(size for size, _ in deferred)
        return [serve for _, serve in deferred]


class _PendingValidation:
    """What waits for the answer of one contact to a ping."""

    __slots__ = ("deferred", "pings_in_flight")

    def __init__(self) -> None:
        self.pings_in_flight = 0
        """Those under way."""
        self.deferred: dict[bytes, tuple[int, Resume]] = {}
        """By rpc id: its bytes, and what is to be done."""


class _RateLimits:
    """What one source, and all strangers together, may ask for in a second."""

    def __init__(self, operation: str, rate_per_subnet: float, unvalidated_rate: float) -> None:
        self.subnet_limiter = KeyedRateLimiter(
            rate_per_subnet, _BURST_SECONDS * rate_per_subnet, _MAX_SUBNETS
        )
        private_rate = _PRIVATE_FACTOR * rate_per_subnet
        self.private_limiter = KeyedRateLimiter(
            private_rate, _BURST_SECONDS * private_rate, _MAX_SUBNETS
        )
        self._unvalidated_limiter = RateLimiter(unvalidated_rate, _BURST_SECONDS * unvalidated_rate)
        self._limit_names = f"{operation} of one source", f"{operation} of strangers"

    def charge(
        self, limiter: KeyedRateLimiter, source: Hashable, is_validated: bool, now: float
    ) -> str | None:
        """Take one; which bound is in the way, or None."""
        if not limiter.try_acquire(source, now):
            return self._limit_names[0]
        if not is_validated and not self._unvalidated_limiter.try_acquire(now):
            return self._limit_names[1]
        return None
