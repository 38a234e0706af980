"""Address validation: how much a node does for senders whose address may be forged.

A UDP source address proves nothing. Until a peer has answered a ping, or shown a write token, a
reply to it stays below the amplification limit (RFC 9000, section 8.1), and its stores wait. The
request gate decides which requests need that proof; this module obtains it, and bounds the memory
of the requests that wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, NodeClosed, RpcTimeout
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import DeferralOutcome, Purpose
from kademlua.core.security.rate_limit import RateLimiter
from kademlua.core.security.write_tokens import WriteTokens
from kademlua.core.wire.packets import HEADER_BYTES, VALIDATED, Request
from kademlua.rpc.call_options import CallOptions
from kademlua.rpc.client import RpcClient
from kademlua.runtime.context import Context

_MAX_PER_CONTACT: Final = 128
"""Deferred requests of one contact: the original may send a hundred stores together."""
_MAX_PINGS: Final = 3
"""Pings in flight to one endpoint; each was caused by a datagram from it."""
_MAX_DEFERRED_BYTES: Final = 1 << 18
"""Bytes of all deferred requests together."""
_DECODED_FACTOR: Final = 16
"""Memory of a decoded list or dictionary, as a multiple of its encoded size."""

Resume = Callable[[], object]


class AddressValidator:
    """The validation of peers' addresses for one node."""

    def __init__(self, context: Context, client: RpcClient) -> None:
        self._context = context
        self._client = client
        self._stats = context.stats
        self._ping_limiter = RateLimiter(context.params.max_deferred, context.params.max_deferred)
        self._pending: dict[Contact, _PendingValidation] = {}
        """Validations in progress, by contact."""
        self._deferred_count = self._deferred_bytes = 0
        self.validated_addresses = client.validated_addresses
        self.write_tokens = WriteTokens(context.rng)

    @property
    def ping_bytes(self) -> int:
        """The size of the ping that validates an address."""
        return HEADER_BYTES + len(self._client.ping_request.payload)

    # Write tokens

    def issue_token(self, request: Request, endpoint: Endpoint, key: bytes) -> bytes:
        """Return a write token for a key, or nothing if the sender needs none or cannot read it."""
        if request.permit.is_validated or not request.version:
            return b""
        return self.write_tokens.issue(endpoint, request.sender_id, key, request.received_at)

    def accept_token(
        self, request: Request, endpoint: Endpoint, key: object, token: object
    ) -> bool:
        """Return whether a token is valid for this sender and key; mark the address validated if
        so."""
        now = request.received_at
        if type(key) is not bytes or not self.write_tokens.verify(
            token, endpoint, request.sender_id, key, now
        ):
            return False
        self.validated_addresses.mark(endpoint, now)
        request.permit = VALIDATED
        return True

    # Deferred requests

    def memory_size(self, request: Request) -> int:
        """Return roughly how many bytes of memory a request takes."""
        has_lists = any(type(arg) is list for arg in request.args)
        return _DECODED_FACTOR * request.size if has_lists else request.size

    def defer(self, request: Request, endpoint: Endpoint, size: int, resume: Resume) -> None:
        """Call ``resume``, which must not block, once the sender has answered a ping.

        The request is dropped if the ping times out, or if too many requests wait; ``size`` is its
        memory in bytes.
        """
        contact = Contact(*endpoint, request.sender_id)
        pending = self._pending.get(contact)
        if pending is not None and request.rpc_id in pending.deferred:
            if pending.pings_in_flight < _MAX_PINGS:  # retransmitted: the ping may be lost
                self._send_ping(contact, pending)
            return
        is_too_large = size > _MAX_DEFERRED_BYTES  # it would evict all others and itself
        if pending is None and not is_too_large:
            pending = self._start_validation(contact)
        if pending is None or is_too_large or len(pending.deferred) >= _MAX_PER_CONTACT:
            self._stats.deferred[DeferralOutcome.NO_SPACE] += 1
            return
        pending.deferred[request.rpc_id] = size, resume
        self._deferred_count += 1
        self._deferred_bytes += size
        # Evict the oldest: in a flood of forged requests, peers that answer quickly remain.
        while (
            self._deferred_count > self._context.params.max_deferred
            or self._deferred_bytes > _MAX_DEFERRED_BYTES
        ):
            self._stats.deferred[DeferralOutcome.NO_SPACE] += len(
                self._pop_deferred(next(iter(self._pending)))
            )

    def _start_validation(self, contact: Contact) -> _PendingValidation | None:
        """Ping an unvalidated contact; return None if the ping could not be sent."""
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
            self._client.send(
                contact.endpoint,
                contact,
                self._client.ping_request,
                self._on_pong,
                CallOptions(is_authorized=True),
            )
        except KademluaError:
            return
        pending.pings_in_flight += 1
        self._stats.calls_by_purpose[Purpose.PROBE] += 1

    def request_validation(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender if its address is not validated yet."""
        if request.permit.is_validated:
            return
        contact = Contact(*endpoint, request.sender_id)
        if contact not in self._pending:
            self._start_validation(contact)

    def is_validating(self, contact: Contact) -> bool:
        """Return whether a ping to validate this contact is in flight."""
        return contact in self._pending

    def _on_pong(self, call: PendingCall, result: list[Any] | KademluaError) -> None:
        assert call.contact is not None
        pending = self._pending.get(call.contact)
        if pending is None:  # answered before, or evicted
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
        return [resume for _, resume in deferred]


class _PendingValidation:
    """The requests that wait for one contact's pong."""

    __slots__ = ("deferred", "pings_in_flight")

    def __init__(self) -> None:
        self.pings_in_flight = 0
        self.deferred: dict[bytes, tuple[int, Resume]] = {}
        """By rpc id: size in bytes, and the function that serves the request."""
