"""The table of calls in flight: finds the call of a response, and the calls that are due.

A call with an RTO is reported as late after it, and once more later, so that its caller can
retransmit or try another node. A reply counts until the deadline, when the call fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, TooManyCalls
from kademlua.core.reasons import MatchFailure

# Not Final: mypyc does not initialize a final tuple of floats.
_LATE_AFTER_RTOS = (1.0, 4.0)
"""Multiples of the RTO after which a call is late: first it is retransmitted, and later the
retransmission is late too."""
_TIMER_SLACK: Final = 0.005
"""Seconds by which a timer may be late, so that one event serves several calls."""
_EXACT_WAIT: Final = 0.05
"""Seconds up to which a wait has no slack: late by 5 ms, an RTO of 1 ms is of no use."""


class PendingCall:
    """One call in flight."""

    __slots__ = (
        "contact", "datagram", "deadline", "due_at", "endpoint", "held_datagram", "is_in_table",
        "late_count", "name", "on_done", "on_late", "reply_bytes", "rpc_id", "rto", "sent_at",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913  # a record: a dataclass takes several times as long
        self,
        *,
        rpc_id: bytes,
        endpoint: Endpoint,
        contact: Contact | None,
        name: str,
        sent_at: float,
        deadline: float,
        on_done: Callable[[PendingCall, list[Any] | KademluaError], None],
        on_late: Callable[[PendingCall], None] | None = None,
        rto: float = 0.0,
        datagram: bytes = b"",
        held_datagram: bytes = b"",
    ) -> None:
        self.rpc_id = rpc_id
        self.endpoint = endpoint
        self.contact = contact
        """The contact whose id must answer; None for any id, until one does."""
        self.name = name
        """The RPC."""
        self.sent_at = sent_at
        self.deadline = deadline
        self.on_done = on_done
        """Called once, with the return values or an error."""
        self.on_late = on_late
        """Called each time the call is late; the reply may still arrive."""
        self.rto = rto
        """Seconds after which the call is late; 0 for never."""
        self.datagram = datagram
        """The datagram, for retransmission."""
        self.held_datagram = held_datagram
        """The datagram to be sent once the endpoint has replied to another call; empty if it was
        sent already."""
        self.reply_bytes = 0
        """Size of the reply's payload; 0 before it arrives."""
        self.is_in_table = False
        """Whether the contact was in the routing table when its reply had arrived."""
        self.late_count = 0
        """How often the call was late."""
        self.due_at = deadline
        """When the call is late or expires next."""
        if on_late is not None and rto > 0:
            self.due_at = min(deadline, sent_at + rto)


class PendingCalls:
    """Calls in flight, limited in number.

    There is no queue of deadlines: nearly all calls are answered long before, so the few that are
    in flight at the earliest deadline are scanned.
    """

    __slots__ = ("_by_rpc_id", "_held", "_limit", "_next_due_at")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_rpc_id: dict[bytes, PendingCall] = {}
        self._next_due_at = math.inf
        """The earliest ``due_at`` since the last scan; its call may have ended."""
        self._held: dict[Endpoint, list[PendingCall]] = {}

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def rpc_names(self) -> Iterator[str]:
        """Return the RPC of each call."""
        return (call.name for call in self._by_rpc_id.values())

    def add(self, call: PendingCall) -> None:
        """Add a call; TooManyCalls at the limit."""
        if len(self._by_rpc_id) >= self._limit:
            raise TooManyCalls(f"{self._limit} calls are in flight")
        self._by_rpc_id[call.rpc_id] = call
        if call.due_at < self._next_due_at:
            self._next_due_at = call.due_at
        if call.held_datagram:
            self._held.setdefault(call.endpoint, []).append(call)

    def release(self, endpoint: Endpoint, now: float, max_timeout: float) -> list[PendingCall]:
        """Return the held calls to an endpoint, with their times counted from now.

        They are to be sent; those that have expired are left out. See ``restart``.
        """
        if not self._held:  # the usual case
            return []
        held = self._held.pop(endpoint, [])
        return [each for each in held if self.restart(each.rpc_id, endpoint, now, max_timeout)]

    def match(
        self, rpc_id: bytes, endpoint: Endpoint, sender_id: bytes
    ) -> PendingCall | MatchFailure:
        """Remove and return the call that a response answers, or return why there is none."""
        call = self._by_rpc_id.get(rpc_id)
        if call is None:
            return MatchFailure.UNEXPECTED
        if call.endpoint != endpoint:
            return MatchFailure.OTHER_ENDPOINT
        if call.contact is not None and call.contact.id != sender_id:
            return MatchFailure.OTHER_ID
        del self._by_rpc_id[rpc_id]
        return call

    def get(self, rpc_id: bytes) -> PendingCall | None:
        """Return the call with an rpc id; None if there is none."""
        return self._by_rpc_id.get(rpc_id)

    def restart(
        self, rpc_id: bytes, endpoint: Endpoint, now: float, max_timeout: float
    ) -> PendingCall | None:
        """Return the call in flight to an endpoint, with its times counted from now.

        Return None if there is none before its deadline. The deadline is moved only within
        ``max_timeout`` seconds.
        """
        call = self._by_rpc_id.get(rpc_id)
        if call is None or call.endpoint != endpoint or now > call.deadline:
            return None
        max_extension = max_timeout - (call.deadline - call.sent_at)
        call.deadline += max(0.0, min(now - call.sent_at, max_extension))
        call.sent_at = now
        call.due_at = call.deadline
        if call.on_late is not None and call.rto > 0:
            call.due_at = _next_due(call)
        return call

    def cancel(self, call: PendingCall) -> bool:
        """Remove a call, and return whether it was in flight. Its response will be unexpected."""
        self._forget_held(call)
        return self._by_rpc_id.pop(call.rpc_id, None) is not None

    def next_due(self) -> float | None:
        """Return when ``pop_due`` may have something to return; None without calls."""
        return self._next_due_at if self._by_rpc_id else None

    def pop_due(self, now: float) -> list[tuple[PendingCall, bool]]:
        """Return the calls that are due, in order, each with whether it has expired.

        Expired calls are removed; the others are late.
        """
        if now < self._next_due_at:
            return []
        due = [call for call in self._by_rpc_id.values() if call.due_at <= now]
        due.sort(key=lambda call: call.due_at)
        result = [(call, now >= call.deadline) for call in due]
        for call, is_expired in result:
            if is_expired:
                del self._by_rpc_id[call.rpc_id]
                self._forget_held(call)
            else:
                call.late_count += 1
                call.due_at = _next_due(call)
        self._next_due_at = min(
            (call.due_at for call in self._by_rpc_id.values()), default=math.inf
        )
        if not self._by_rpc_id:  # a dictionary that was emptied keeps its size
            self._by_rpc_id = {}
        return result

    def drain(self) -> list[PendingCall]:
        """Remove and return all calls."""
        calls = list(self._by_rpc_id.values())
        self._by_rpc_id.clear()
        self._held.clear()
        self._next_due_at = math.inf
        return calls

    def _forget_held(self, call: PendingCall) -> None:
        if call.held_datagram and call in (held := self._held.get(call.endpoint, [])):
            held.remove(call)
            if not held:
                del self._held[call.endpoint]


def wake_time(due_at: float, now: float) -> float:
    """Return when a timer should fire for a call that is due."""
    return due_at + _TIMER_SLACK if due_at - now > _EXACT_WAIT else due_at


def _next_due(call: PendingCall) -> float:
    """Return when a call that was just late must be looked at next."""
    if call.late_count < len(_LATE_AFTER_RTOS):
        return min(call.deadline, call.sent_at + call.rto * _LATE_AFTER_RTOS[call.late_count])
    return call.deadline
