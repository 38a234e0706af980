"""The RPC client: sends requests, matches responses with calls, and ends calls in time.

A greenlet may wait for a reply (``call``), or pass functions (``send``) that the event loop's
greenlet calls when the reply arrives. One timer serves all deadlines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from gevent.event import AsyncResult

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import (
    CallInterrupted,
    KademluaError,
    NodeClosed,
    RpcFailed,
    RpcTimeout,
    WireError,
)
from kademlua.core.pending_calls import PendingCall, PendingCalls
from kademlua.core.reasons import DropReason, MatchFailure, Purpose
from kademlua.core.security.outgoing_gate import MAX_QUERY_BYTES, OutgoingGate, Verdict
from kademlua.core.security.validated_addresses import ValidatedAddresses
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Response
from kademlua.rpc.call_options import PING_REQUESTS, CallOptions, EncodedRequest
from kademlua.rpc.call_timer import CallTimer
from kademlua.runtime.clocks import PAUSE_LATENESS
from kademlua.runtime.context import Context

ReplyCallback = Callable[[PendingCall, "list[Any] | KademluaError"], None]

_RPC_ID_BATCH: Final = 32
"""Rpc ids drawn together: each request to the system's random source costs time."""
_DEFAULT_OPTIONS: Final = CallOptions()
_SEND: Final = Verdict.SEND  # members of an enum are read slowly


class RpcClient:
    """The calls of one node to others."""

    def __init__(self, context: Context, pending: PendingCalls) -> None:
        self._context = context
        self._pending = pending
        self._clock = context.clock
        self._stats = context.stats
        self._id = context.id
        self._rpc_timeout = context.params.rpc_timeout
        self._send_datagram = context.transport.send
        self.validated_addresses = ValidatedAddresses(context.table)
        address = context.transport.local_endpoint[0]
        self.gate = OutgoingGate(context.table, self.validated_addresses, address)
        self._rpc_ids = b""
        self._timer = CallTimer(context, pending, self._handle_due)
        self._closed = False

    def __len__(self) -> int:
        return len(self._pending)

    def in_flight_by_rpc(self) -> Counter[str]:
        """Return the number of calls in flight, by RPC."""
        return Counter(self._pending.rpc_names())

    def encode(self, name: str, args: bytes) -> EncodedRequest:
        """Encode a request; ``args`` are bencoded values, concatenated."""
        payload = packets.encode_request_payload(
            name.encode(), args, read_only=self._context.is_client
        )
        return EncodedRequest(name, payload)

    @property
    def ping_request(self) -> EncodedRequest:
        """The encoded ping."""
        return PING_REQUESTS[self._context.is_client]

    def send(
        self,
        endpoint: Endpoint,
        contact: Contact | None,
        request: EncodedRequest,
        on_done: ReplyCallback,
        options: CallOptions = _DEFAULT_OPTIONS,
    ) -> PendingCall:
        """Send a request and call ``on_done`` once, with the return values or an error.

        ``contact`` is the one whose id must answer; with None, any id may.
        No callback may block. If the outgoing gate refuses the request, it counts as lost.

        Raises:
            TooManyCalls: ``Params.max_calls`` calls are in flight.
            NodeClosed: the node is closed.
            ValueError: the request does not fit a packet.
        """
        if self._closed:
            raise NodeClosed("the node is closed")
        now, timeout = self._clock(), options.timeout
        deadline = now + (self._rpc_timeout if timeout is None else timeout)
        rpc_id = self._next_rpc_id()
        sender_id = options.alias or self._id
        datagram = packets.encode_request(sender_id, rpc_id, request.payload)
        if len(datagram) < options.min_bytes:
            datagram = datagram.ljust(options.min_bytes, b"\0")
        first_datagram = datagram
        if (retransmission := options.retransmission) is not None:
            datagram = packets.encode_request(sender_id, rpc_id, retransmission.payload)
        is_query = len(first_datagram) <= MAX_QUERY_BYTES and request.name != "store"
        verdict = self.gate.judge(
            endpoint, now, deadline, is_query=is_query, is_authorized=options.is_authorized
        )
        is_sent = verdict is _SEND
        if not is_sent:
            self._prepare_held(verdict, endpoint, contact, options)
        call = PendingCall(
            rpc_id=rpc_id,
            endpoint=endpoint,
            contact=contact,
            name=request.name,
            sent_at=now,
            deadline=deadline,
            on_done=on_done,
            on_late=options.on_late,
            rto=options.rto,
            datagram=datagram,
            held_datagram=b"" if is_sent else first_datagram,
        )
        self._pending.add(call)
        self._stats.calls_by_rpc[request.name] += 1
        if is_sent:
            self._transmit(first_datagram, endpoint)
        self._timer.set_for(call.due_at, now)
        return call

    def _prepare_held(
        self, verdict: Verdict, endpoint: Endpoint, contact: Contact | None, options: CallOptions
    ) -> None:
        """Count a refused call, or ping the endpoint for whose reply a call waits."""
        if verdict is not Verdict.QUERY_FIRST:
            self._stats.dropped[DropReason.NOT_PERMITTED] += verdict is Verdict.REFUSE
            return
        rto = options.rto or self._rpc_timeout / 3
        options = CallOptions(options.timeout, _ignore, rto, 0, options.alias, is_authorized=True)
        self.send(endpoint, contact, self.ping_request, _ignore, options)
        self._stats.calls_by_purpose[Purpose.PROBE] += 1

    def _next_rpc_id(self) -> bytes:
        size = packets.RPC_ID_BYTES
        ids = self._rpc_ids or self._context.rng.randbytes(_RPC_ID_BATCH * size)
        self._rpc_ids = ids[:-size]
        return ids[-size:]

    def _transmit(self, datagram: bytes, endpoint: Endpoint) -> None:
        stats = self._stats
        stats.packets_out += 1
        stats.bytes_out += len(datagram)
        # A datagram that the system refuses counts as lost: the deadline covers it.
        if not self._send_datagram(datagram, endpoint):
            stats.dropped[DropReason.NOT_SENT] += 1

    def _retransmit(self, call: PendingCall, now: float) -> None:
        if not call.held_datagram and self.gate.may_retransmit(call.endpoint, now):
            self._stats.retransmitted += 1
            self._transmit(call.datagram, call.endpoint)

    def call(
        self,
        endpoint: Endpoint,
        contact: Contact | None,
        name: str,
        args: bytes,
        options: CallOptions = _DEFAULT_OPTIONS,
    ) -> tuple[Contact, list[Any]]:
        """Send a request, block this greenlet until the reply, and return the callee and its
        values.

        Raises:
            RpcTimeout, RpcFailed, TooManyCalls, NodeClosed: as named.
            WireError: the reply is malformed.
        """
        outcome: AsyncResult[list[Any] | KademluaError] = AsyncResult()

        def on_done(_: PendingCall, result: list[Any] | KademluaError) -> None:
            outcome.set(result)

        request = self.encode(name, args)
        call = self.send(endpoint, contact, request, on_done, options)
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
        if isinstance(call, PendingCall) and call.contact is None:
            call.contact = self._context.pool.intern(*endpoint, packet.sender_id)
        return call

    def pending_call(self, rpc_id: bytes) -> PendingCall | None:
        """Return the call in flight with this rpc id; None if there is none."""
        return self._pending.get(rpc_id)

    def complete(self, call: PendingCall, packet: Response) -> None:
        """Decode the reply to a call and deliver it."""
        if self.gate.on_reply(call.endpoint):
            self._send_held(call.endpoint)
        result: list[Any] | KademluaError
        call.reply_bytes = len(packet.payload)
        if packet.packet_type == packets.RESPONSE:
            is_findvalue = call.name == "findvalue"
            decode = packets.decode_findvalue_values if is_findvalue else packets.decode_values
            try:
                result = decode(packet.payload)
                self._stats.replies += 1
            except WireError as error:
                self._stats.dropped[error.reason] += 1
                result = error
        else:
            result = RpcFailed(packet.packet_type)
        if type(result) is not list:
            self._stats.failures_by_rpc[call.name] += 1
        call.on_done(call, result)

    def _send_held(self, endpoint: Endpoint) -> None:
        """Send the calls that waited for a reply of this endpoint."""
        for call in self._pending.release(endpoint, self._clock(), self._rpc_timeout):
            self._transmit(call.held_datagram, endpoint)
            call.held_datagram = b""

    def count_malformed_reply(self, error: WireError) -> None:
        """Count a reply that is bencoded but not what the RPC returns."""
        self._stats.dropped[error.reason] += 1

    def interrupt(self) -> None:
        """End every call with CallInterrupted: the node was paused and may have missed replies."""
        for call in self._pending.drain():
            self._stats.cancelled_by_rpc[call.name] += 1
            try:
                call.on_done(call, CallInterrupted(f"the node was paused during {call.name}"))
            except Exception:  # a defect in one callback must not affect other calls
                self._context.log.exception("a callback of a call failed")

    def close(self) -> None:
        """End every call with NodeClosed; idempotent."""
        self._closed = True
        self._timer.stop()
        for call in self._pending.drain():
            call.on_done(call, NodeClosed("the node is closed"))

    def _handle_due(self) -> None:
        """Retransmit or end the calls that are due. Runs in the hub and must not block."""
        now = self._clock()
        if now - self._timer.wakes_at > PAUSE_LATENESS:
            self.interrupt()
        for call, is_expired in self._pending.pop_due(now):
            try:
                if is_expired:
                    self._stats.timeouts_by_rpc[call.name] += 1
                    if not call.held_datagram:
                        self.gate.on_timeout(call.endpoint, now)
                    call.on_done(call, RpcTimeout(f"no reply to {call.name}"))
                elif call.on_late is not None:
                    if call.late_count == 1:
                        self._retransmit(call, now)
                    call.on_late(call)
            except Exception:  # a defect in one callback must not affect other calls
                self._context.log.exception("a callback of a call failed")
        if not self._closed:
            self._timer.rearm(self._clock())


def _ignore(*_: object) -> None:
    """Do nothing: the reply to a ping releases the calls that wait for it."""
