"""The RPCs of a node to others: sent, matched with their answers, ended in time.

A caller may wait in its greenlet (``call``) or hand in functions (``send``), which the
event loop's greenlet calls as the answer comes. One timer serves all deadlines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import gevent
from gevent.event import AsyncResult

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, NodeClosed, RpcFailed, RpcTimeout, WireError
from kademlua.core.pending_calls import Call, Calls
from kademlua.core.reasons import DropReason, Purpose
from kademlua.core.wire import packets
from kademlua.core.wire.packets import Response
from kademlua.runtime.context import Context

Done = Callable[[Call, "list[Any] | KademluaError"], None]

_GRAIN = 0.005
"""Seconds by which a deadline may be overrun, so that the timer serves many at once."""


_RPC_IDS = 32
"""Rpc ids taken at once from the source of chance: to ask the system for each costs 0.6 µs."""


class Question(NamedTuple):
    """A RPC and its arguments as they are sent: made once for all who are asked the same."""

    name: str
    payload: bytes


class Caller:
    """The calls of one node."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._clock = context.clock
        self._stats = context.stats
        self._send = context.transport.send
        self._rpc_ids = b""
        self._pings = [
            Question("ping", packets.encode_call(b"ping", b"", is_client))
            for is_client in (False, True)
        ]
        self._calls = Calls(context.params.max_calls)
        self._timer: Any = None
        self._timer_at = 0.0
        self._closed = False
        self.changed: Callable[[Contact], None] | None = None
        """Called with a contact in whose place another id answered."""

    def __len__(self) -> int:
        return len(self._calls)

    def in_flight_by_rpc(self) -> Counter[str]:
        """Calls not ended yet, by RPC."""
        return Counter(self._calls.names())

    def question(self, name: str, args: bytes) -> Question:
        """A question to be sent; ``args`` are bencoded, in a row."""
        payload = packets.encode_call(name.encode(), args, self._context.is_client)
        return Question(name, payload)

    @property
    def ping(self) -> Question:
        """The question ping, which is made once."""
        return self._pings[self._context.is_client]

    def send(
        self,
        endpoint: Endpoint,
        contact: Contact | None,
        question: Question,
        done: Done,
        *,
        timeout: float | None = None,
        late: Callable[[Call], None] | None = None,
        patience: float = 0.0,
        least: int = 0,
    ) -> Call:
        """Send a request; ``done`` is called once with the values or the error.

        Without ``contact`` any id may answer. The datagram is padded to ``least`` bytes: who
        does not know our address answers with three times as many at most. With ``late``, the
        request is sent once more after ``patience`` seconds, and ``late`` is called then and
        once more later. Nothing of this may block. Raises TooManyCalls and NodeClosed, and
        ValueError where it does not fit a packet.
        """
        if self._closed:
            raise NodeClosed("the node is closed")
        now = self._clock()
        deadline = now + (self._context.params.rpc_timeout if timeout is None else timeout)
        name, payload = question
        rpc_id = self._rpc_id()
        datagram = packets.encode_request(self._context.id, rpc_id, payload)
        if len(datagram) < least:
            datagram = datagram.ljust(least, b"\0")
        call = Call(rpc_id, endpoint, contact, name, now, deadline, done, late, patience, datagram)
        self._calls.begin(call)
        self._stats.calls[name] += 1
        self._emit(datagram, endpoint)
        if self._timer is None or call.due + _GRAIN < self._timer_at:
            self._arm(now)
        return call

    def _rpc_id(self) -> bytes:
        if not self._rpc_ids:
            self._rpc_ids = self._context.rng.randbytes(_RPC_IDS * packets.RPC_ID_BYTES)
        rpc_id = self._rpc_ids[: packets.RPC_ID_BYTES]
        self._rpc_ids = self._rpc_ids[packets.RPC_ID_BYTES :]
        return rpc_id

    def _emit(self, datagram: bytes, endpoint: Endpoint) -> None:
        stats = self._stats
        stats.packets_out += 1
        stats.bytes_out += len(datagram)
        # What the system does not take is lost as on the way: the deadline covers it.
        if not self._send(datagram, endpoint):
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
        ended: AsyncResult[list[Any] | KademluaError] = AsyncResult()

        def done(_: Call, result: list[Any] | KademluaError) -> None:
            ended.set(result)

        call = self.send(endpoint, contact, self.question(name, args), done, timeout=timeout)
        self._stats.caused[Purpose.CALL] += 1
        try:
            result = ended.get()
        finally:
            if self._calls.cancel(call):
                self._stats.given_up[name] += 1
        if isinstance(result, KademluaError):
            raise result
        assert call.contact is not None
        assert result is not None
        return call.contact, result

    def response(self, packet: Response, endpoint: Endpoint, now: float) -> Call | None:
        """Take in a response: the call that it belongs to, or None where it is dropped.

        The call's ``finish`` is left to whoever notes first that its contact lives.
        """
        call = self._calls.match(packet.rpc_id, endpoint, packet.sender_id)
        if isinstance(call, str):
            self._stats.dropped[call] += 1
            if call == "response of another id" and self.changed is not None:
                former = self._calls.get(packet.rpc_id)
                if former is not None and former.contact is not None:
                    self.changed(former.contact)
            return None
        if call.contact is None:
            call.contact = self._context.pool.contact(*endpoint, packet.sender_id)
        return call

    def in_flight(self, rpc_id: bytes, endpoint: Endpoint) -> bytes | None:
        """The datagram of a call in flight to that endpoint, which is sent again now: its
        answer will take as long from here. None where there is no such call."""
        longest = self._context.params.rpc_timeout
        call = self._calls.begun_again(rpc_id, endpoint, self._clock(), longest)
        return None if call is None else call.datagram

    def finish(self, call: Call, packet: Response) -> None:
        """Read the answer and hand it to whoever waits."""
        result: list[Any] | KademluaError
        if packet.call == packets.RESPONSE:
            try:
                result = packets.decode_values(packet.payload)
            except WireError as error:
                self._stats.dropped[error.reason] += 1
                result = error
        else:
            result = RpcFailed(packet.call)
        if isinstance(result, KademluaError):
            self._stats.failed_by[call.name] += 1
        else:
            self._stats.answered += 1
        call.done(call, result)

    def note_bad_answer(self, error: WireError) -> None:
        """Count an answer that was bencoded, and not what the RPC returns."""
        self._stats.dropped[error.reason] += 1

    def close(self) -> None:
        """End every call with NodeClosed; idempotent."""
        self._closed = True
        self._disarm()
        for call in self._calls.drain():
            call.done(call, NodeClosed("the node is closed"))

    def _arm(self, now: float) -> None:
        """See to it that the timer goes off for the earliest deadline."""
        due = self._calls.next_due()
        if due is None or self._closed:
            self._disarm()
            return
        if self._timer is not None:
            if self._timer_at <= due + _GRAIN:
                return
            self._disarm()
        self._timer_at = due + _GRAIN
        self._timer = gevent.get_hub().loop.timer(max(self._timer_at - now, 0.0))
        self._timer.start(self._sweep)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    def _sweep(self) -> None:
        """The timer went off: tell whose time has come. Runs in the hub, must not block."""
        self._disarm()
        for call, is_over in self._calls.overdue(self._clock()):
            try:
                if is_over:
                    self._stats.timed_out[call.name] += 1
                    call.done(call, RpcTimeout(f"no answer to {call.name}"))
                elif call.late is not None:
                    if call.reminders == 1:
                        self._stats.repeated += 1
                        self._emit(call.datagram, call.endpoint)
                    call.late(call)
            except Exception:  # one waiter's defect must not cost the others their end
                self._context.log.exception("the end of a call could not be handled")
        self._arm(self._clock())
