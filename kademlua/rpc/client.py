"""The RPCs of a node to others: sent, matched with their answers, ended in time.

A caller may wait in its greenlet (``call``) or hand in functions (``send``), which the
event loop's greenlet calls as the answer comes. One timer serves all deadlines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from gevent.event import AsyncResult

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, NodeClosed, RpcFailed, RpcTimeout, WireError
from kademlua.core.pending_calls import PendingCall, PendingCalls
from kademlua.core.reasons import DropReason, MatchFailure, Purpose
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Response
from kademlua.runtime.context import Context
from kademlua.runtime.timer import Timer

ReplyCallback = Callable[[PendingCall, "list[Any] | KademluaError"], None]

_TIMER_SLACK = 0.005
"""Seconds by which a deadline may be overrun, so that the timer serves many at once."""


_RPC_ID_BATCH = 32
"""Rpc ids taken at once from the source of chance: to ask the system for each costs 0.6 µs."""


class EncodedRequest(NamedTuple):
    """A RPC and its arguments as they are sent: made once for all who are asked the same."""

    name: str
    payload: bytes


class RpcClient:
    """The calls of one node."""

    def __init__(self, context: Context, pending: PendingCalls) -> None:
        self._context = context
        self._pending = pending
        self._clock = context.clock
        self._stats = context.stats
        self._send_datagram = context.transport.send
        self._rpc_ids = b""
        self._ping_requests = [
            EncodedRequest("ping", packets.encode_request_payload(b"ping", b"", is_client))
            for is_client in (False, True)
        ]
        self._timer = Timer(self._on_timer)
        self._timer_at = 0.0
        self._closed = False

    def __len__(self) -> int:
        return len(self._pending)

    def in_flight_by_rpc(self) -> Counter[str]:
        """Calls not ended yet, by RPC."""
        return Counter(self._pending.rpc_names())

    def encode(self, name: str, args: bytes) -> EncodedRequest:
        """A question to be sent; ``args`` are bencoded, in a row."""
        payload = packets.encode_request_payload(name.encode(), args, self._context.is_client)
        return EncodedRequest(name, payload)

    @property
    def ping_request(self) -> EncodedRequest:
        """The question ping, which is made once."""
        return self._ping_requests[self._context.is_client]

    def send(
        self,
        endpoint: Endpoint,
        contact: Contact | None,
        request: EncodedRequest,
        on_done: ReplyCallback,
        *,
        timeout: float | None = None,
        on_late: Callable[[PendingCall], None] | None = None,
        rto: float = 0.0,
        min_bytes: int = 0,
    ) -> PendingCall:
        """Send a request; ``on_done`` is called once with the values or the error.

        Without ``contact`` any id may answer. The datagram is padded to ``min_bytes`` bytes: who
        does not know our address answers with three times as many at most. With ``on_late``, the
        request is sent once more after ``rto`` seconds, and ``on_late`` is called then and
        once more later. Nothing of this may block. Raises TooManyCalls and NodeClosed, and
        ValueError where it does not fit a packet.
        """
        if self._closed:
            raise NodeClosed("the node is closed")
        now = self._clock()
        deadline = now + (self._context.params.rpc_timeout if timeout is None else timeout)
        name, payload = request
        rpc_id = self._next_rpc_id()
        datagram = packets.encode_request(self._context.id, rpc_id, payload)
        if len(datagram) < min_bytes:
            datagram = datagram.ljust(min_bytes, b"\0")
        call = PendingCall(
            rpc_id, endpoint, contact, name, now, deadline, on_done, on_late, rto, datagram
        )
        self._pending.add(call)
        self._stats.calls_by_rpc[name] += 1
        self._transmit(datagram, endpoint)
        if not self._timer.is_running or call.due_at + _TIMER_SLACK < self._timer_at:
            self._arm(now)
        return call

    def _next_rpc_id(self) -> bytes:
        if not self._rpc_ids:
            self._rpc_ids = self._context.rng.randbytes(_RPC_ID_BATCH * packets.RPC_ID_BYTES)
        rpc_id = self._rpc_ids[: packets.RPC_ID_BYTES]
        self._rpc_ids = self._rpc_ids[packets.RPC_ID_BYTES :]
        return rpc_id

    def _transmit(self, datagram: bytes, endpoint: Endpoint) -> None:
        stats = self._stats
        stats.packets_out += 1
        stats.bytes_out += len(datagram)
        # What the system does not take is lost as on the way: the deadline covers it.
        if not self._send_datagram(datagram, endpoint):
            stats.dropped[DropReason.NOT_SENT] += 1

    def call(
        self,
        endpoint: Endpoint,
        contact: Contact | None,
        name: str,
        args: bytes,
        timeout: float | None = None,
    ) -> tuple[Contact, list[Any]]:
        """Send a request and block this greenlet until its end: who answered, and what.

        Raises RpcTimeout, RpcFailed, WireError (an unreadable answer), TooManyCalls,
        NodeClosed.
        """
        outcome: AsyncResult[list[Any] | KademluaError] = AsyncResult()

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            outcome.set(result)

        call = self.send(endpoint, contact, self.encode(name, args), on_done, timeout=timeout)
        self._stats.calls_by_purpose[Purpose.CALL] += 1
        try:
            result = outcome.get()
        finally:
            if self._pending.cancel(call):
                self._stats.cancelled_by_rpc[name] += 1
        if isinstance(result, KademluaError):
            raise result
        assert call.contact is not None
        assert result is not None
        return call.contact, result

    def match(self, packet: Response, endpoint: Endpoint) -> PendingCall | MatchFailure:
        """Return the call that a response answers, or why there is none.

        The call is no longer pending; ``complete`` delivers its result.
        """
        call = self._pending.match(packet.rpc_id, endpoint, packet.sender_id)
        if not isinstance(call, MatchFailure) and call.contact is None:
            call.contact = self._context.pool.intern(*endpoint, packet.sender_id)
        return call

    def expected_contact(self, rpc_id: bytes) -> Contact | None:
        """Return the contact that should answer a call in flight; None if any may answer."""
        call = self._pending.get(rpc_id)
        return None if call is None else call.contact

    def complete(self, call: PendingCall, packet: Response) -> None:
        """Read the answer and hand it to whoever waits."""
        result: list[Any] | KademluaError
        if packet.packet_type == packets.RESPONSE:
            try:
                result = packets.decode_values(packet.payload)
            except WireError as error:
                self._stats.dropped[error.reason] += 1
                result = error
        else:
            result = RpcFailed(packet.packet_type)
        if isinstance(result, KademluaError):
            self._stats.failures_by_rpc[call.name] += 1
        else:
            self._stats.replies += 1
        call.on_done(call, result)

    def count_malformed_reply(self, error: WireError) -> None:
        """Count an answer that was bencoded, and not what the RPC returns."""
        self._stats.dropped[error.reason] += 1

    def close(self) -> None:
        """End every call with NodeClosed; idempotent."""
        self._closed = True
        self._timer.stop()
        for call in self._pending.drain():
            call.on_done(call, NodeClosed("the node is closed"))

    def _arm(self, now: float) -> None:
        """Set the timer for the earliest deadline."""
        wake_at = self._pending.next_due()
        if wake_at is None or self._closed:
            self._timer.stop()
            return
        if self._timer.is_running and self._timer_at <= wake_at + _TIMER_SLACK:
            return
        self._timer_at = wake_at + _TIMER_SLACK
        self._timer.start(max(self._timer_at - now, 0.0))

    def _on_timer(self) -> None:
        """The timer went off: tell whose time has come. Runs in the hub, must not block."""
        for call, is_expired in self._pending.pop_due(self._clock()):
            try:
                if is_expired:
                    self._stats.timeouts_by_rpc[call.name] += 1
                    call.on_done(call, RpcTimeout(f"no answer to {call.name}"))
                elif call.on_late is not None:
                    if call.late_count == 1:
                        self._stats.retransmitted += 1
                        self._transmit(call.datagram, call.endpoint)
                    call.on_late(call)
            except Exception:  # one waiter's defect must not cost the others their end
                self._context.log.exception("the end of a call could not be handled")
        self._arm(self._clock())
