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
from kademlua.core.pending_calls import Call
from kademlua.core.reasons import DeferralOutcome, Purpose
from kademlua.core.security.rate_limit import TokenBucket, TokenBuckets
from kademlua.core.security.subnets import is_near, network_of
from kademlua.core.security.validated_addresses import Verified
from kademlua.core.security.write_tokens import Tokens
from kademlua.core.wire.packets import HEADER_BYTES, MAX_DATAGRAM, Request
from kademlua.rpc.client import Caller
from kademlua.runtime.context import Context

AMPLIFICATION = 3
"""An unverified sender gets at most so many bytes for each of his."""
_BURST = 2
"""Seconds' worth that may come at once."""
_NEAR = 20
"""A loopback or private endpoint has so many times the bound of a source, while bounds hold for
it at all: whoever loads a node of his own shall not have to wait for it."""
_SOURCES = 2_048
"""Sources whose buckets are remembered."""
_AT_ONE = 16
"""Requests of one endpoint that may wait for its answer to a ping."""
_PINGS = 3
"""Pings to one endpoint under way; each was drawn by a datagram of its own."""
_HELD_BYTES = 1 << 18
"""Of all requests that wait."""
_LOOSE = 16
"""A value that is no byte string takes so many times its bytes in memory."""

Serve = Callable[[], object]


class Strangers:
    """Keeps one node from serving strangers at the cost of others."""

    def __init__(self, context: Context, caller: Caller) -> None:
        params = context.params
        self._context = context
        self._caller = caller
        self._stats = context.stats
        self._is_apart = params.private_apart
        self._transport = context.transport
        self._requests = _Bounds(
            "requests", params.requests_per_source, params.requests_of_strangers
        )
        self._stores = _Bounds("stores", params.stores_per_source, params.stores_of_strangers)
        self._pings = TokenBucket(params.max_held, params.max_held)
        self._held: dict[Contact, _Waiting] = {}
        """What waits for whose answer to a ping."""
        self._held_count = self._held_bytes = 0
        self.verified = Verified(context.table)
        self.tokens = Tokens(context.rng)

    # Whether, and with how much, a request is answered.

    def room_for(self, size: int, endpoint: Endpoint, now: float, *, is_verified: bool) -> int:
        """How many bytes the answer to a request of ``size`` bytes may have; 0 where there are
        too many requests, which is counted."""
        if not self._is_free(endpoint):
            reason = self._reason(self._requests, endpoint, is_verified, now)
            if reason is not None:
                self._stats.throttled[reason] += 1
                return 0
        if is_verified:
            return MAX_DATAGRAM
        return AMPLIFICATION * size - self._ping_bytes()  # it may be pinged besides

    def is_one_store_more(self, request: Request, endpoint: Endpoint) -> bool:
        """Whether one store, or remove, more is taken from here; where not, it is counted."""
        if self._is_free(endpoint):
            return True
        is_verified, now = request.is_validated, self._context.clock()
        reason = self._reason(self._stores, endpoint, is_verified, now)
        if reason is None:
            return True
        self._stats.throttled[reason] += 1
        return False

    def _ping_bytes(self) -> int:
        return HEADER_BYTES + len(self._caller.ping.payload)

    def _is_free(self, endpoint: Endpoint) -> bool:
        """Whether no bound holds for this source just now."""
        return self._is_apart and not self._transport.is_behind and is_near(endpoint[0])

    def _reason(
        self, bounds: _Bounds, endpoint: Endpoint, is_verified: bool, now: float
    ) -> str | None:
        addr = endpoint[0]
        if self._is_apart and is_near(addr):
            return bounds.reason(bounds.of_near, endpoint, is_verified, now)
        return bounds.reason(bounds.of_source, network_of(addr), is_verified, now)

    # Tokens.

    def token_for(self, request: Request, endpoint: Endpoint, key: bytes) -> bytes:
        """What the sender may show when he stores under a key; empty where he needs nothing,
        or could not read it."""
        if request.is_validated or not request.version:
            return b""
        return self.tokens.give(endpoint, request.sender_id, key, self._context.clock())

    def shows(self, request: Request, endpoint: Endpoint, key: object, token: object) -> bool:
        """Whether the sender shows a token for a key: then his address is verified."""
        now = self._context.clock()
        if type(key) is not bytes or not self.tokens.accepts(
            token, endpoint, request.sender_id, key, now
        ):
            return False
        self.verified.note(endpoint, now)
        request.mark_validated()
        return True

    # Who has to answer a ping first.

    def size_of(self, request: Request) -> int:
        """About how many bytes an unverified sender's request takes in memory."""
        size = (request.reply_budget + self._ping_bytes()) // AMPLIFICATION
        return size if all(type(arg) is not list for arg in request.args) else _LOOSE * size

    def hold(self, request: Request, endpoint: Endpoint, size: int, serve: Serve) -> None:
        """Call ``serve`` once the sender has answered a ping, unless it takes too long, or too
        much waits already; ``size`` is how many bytes wait. It must not block."""
        contact = Contact(*endpoint, request.sender_id)
        waiting = self._held.get(contact)
        if waiting is not None and request.rpc_id in waiting.serves:
            if waiting.pings < _PINGS:  # sent once more: perhaps our ping was lost
                self._ping(contact, waiting)
            return
        is_too_large = size > _HELD_BYTES  # all others would give way to it, and it as well
        if waiting is None and not is_too_large:
            waiting = self._begin(contact)
        if waiting is None or is_too_large or len(waiting.serves) >= _AT_ONE:
            self._stats.held[DeferralOutcome.NO_SPACE] += 1
            return
        waiting.serves[request.rpc_id] = size, serve
        self._held_count += 1
        self._held_bytes += size
        # The oldest give way: with a flood of forged ones, those last who answer soonest.
        while self._held_count > self._context.params.max_held or self._held_bytes > _HELD_BYTES:
            self._stats.held[DeferralOutcome.NO_SPACE] += len(
                self._take_out(next(iter(self._held)))
            )

    def _begin(self, contact: Contact) -> _Waiting | None:
        """Ping a stranger, so that he can prove his address, if there is room for it."""
        waiting = _Waiting()
        self._ping(contact, waiting)
        if not waiting.pings:
            return None
        self._held[contact] = waiting
        return waiting

    def _ping(self, contact: Contact, waiting: _Waiting) -> None:
        if not self._pings.take(self._context.clock()):
            return
        try:
            self._caller.send(contact.endpoint, contact, self._caller.ping, self._answered)
        except KademluaError:
            return
        waiting.pings += 1
        self._stats.caused[Purpose.PROBE] += 1

    def prove(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender where he would get more if he had proved his address."""
        if request.is_validated:
            return
        contact = Contact(*endpoint, request.sender_id)
        if contact not in self._held:
            self._begin(contact)

    def is_pinged(self, contact: Contact) -> bool:
        """Whether a stranger was pinged just now."""
        return contact in self._held

    def _answered(self, call: Call, result: list[Any] | KademluaError) -> None:
        assert call.contact is not None
        waiting = self._held.get(call.contact)
        if waiting is None:  # another ping was answered before, or there was no room
            return
        if isinstance(result, (RpcTimeout, NodeClosed)):
            waiting.pings -= 1
            if not waiting.pings:
                self._stats.held[DeferralOutcome.NO_PROOF] += len(self._take_out(call.contact))
            return
        for serve in self._take_out(call.contact):
            self._stats.held[DeferralOutcome.SERVED] += 1
            serve()

    def _take_out(self, contact: Contact) -> list[Serve]:
        rows = self._held.pop(contact).serves.values()
        self._held_count -= len(rows)
        self._held_bytes -= sum(size for size, _ in rows)
        return [serve for _, serve in rows]


class _Waiting:
    """What waits for the answer of one contact to a ping."""

    __slots__ = ("pings", "serves")

    def __init__(self) -> None:
        self.pings = 0
        """Those under way."""
        self.serves: dict[bytes, tuple[int, Serve]] = {}
        """By rpc id: its bytes, and what is to be done."""


class _Bounds:
    """What one source, and all strangers together, may ask for in a second."""

    def __init__(self, what: str, per_source: float, of_strangers: float) -> None:
        self.of_source = TokenBuckets(per_source, _BURST * per_source, _SOURCES)
        near = _NEAR * per_source
        self.of_near = TokenBuckets(near, _BURST * near, _SOURCES)
        self._of_strangers = TokenBucket(of_strangers, _BURST * of_strangers)
        self._reasons = f"{what} of one source", f"{what} of strangers"

    def reason(
        self, buckets: TokenBuckets, source: Hashable, is_verified: bool, now: float
    ) -> str | None:
        """Take one; which bound is in the way, or None."""
        if not buckets.take(source, now):
            return self._reasons[0]
        if not is_verified and not self._of_strangers.take(now):
            return self._reasons[1]
        return None
