"""The table of calls in flight: rpc id to call, and when to stop waiting.

A call may have a patience, after which its answer is late for this path: whoever waits is
told so then, and once more later, and may look elsewhere. The answer still counts
until the deadline, at which the call is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, TooManyCalls
from kademlua.core.reasons import MatchFailure

_LATE_AFTER_RTOS = (1.0, 2.5)
"""After so many times its patience a call is said to be late: then it is sent once more, and
then its answer to the repetition should have been there."""


class PendingCall:
    """One RPC of ours under way. ``on_done`` is called once, with its values or its error."""

    __slots__ = (
        "contact",
        "datagram",
        "deadline",
        "due_at",
        "endpoint",
        "late_count",
        "name",
        "on_done",
        "on_late",
        "rpc_id",
        "rto",
        "sent_at",
    )

    def __init__(
        self,
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
    ) -> None:
        self.rpc_id = rpc_id
        self.endpoint = endpoint
        self.contact = contact
        """Whose id must answer; None until the answer where that is not known."""
        self.name = name
        self.sent_at = sent_at
        self.deadline = deadline
        self.on_done = on_done
        self.on_late = on_late
        """Called when the answer is late, and when it is very late; it may still come."""
        self.rto = rto
        self.late_count = 0
        """How often it was said to be late."""
        self.datagram = datagram
        """What was sent, to be sent once more when the answer is late."""
        self.due_at = deadline
        """When next to look after it."""
        if on_late is not None and rto > 0:
            self.due_at = min(deadline, sent_at + rto)


class PendingCalls:
    """Calls in flight, bounded; matched by all that a reply must show.

    There is no queue of deadlines: nearly all calls are answered long before theirs, so those
    few that are in flight when the earliest comes are looked through.
    """

    __slots__ = ("_by_rpc_id", "_limit", "_next_due_at")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_rpc_id: dict[bytes, PendingCall] = {}
        self._next_due_at = math.inf
        """When the earliest of all that were in flight at the last look, or began since, is
        due; it may have ended."""

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def rpc_names(self) -> Iterator[str]:
        """The RPC of each."""
        return (call.name for call in self._by_rpc_id.values())

    def add(self, call: PendingCall) -> None:
        """Enter a call; TooManyCalls at the limit."""
        if len(self._by_rpc_id) >= self._limit:
            raise TooManyCalls(f"{self._limit} calls are in flight")
        self._by_rpc_id[call.rpc_id] = call
        if call.due_at < self._next_due_at:
            self._next_due_at = call.due_at

    def match(
        self, rpc_id: bytes, endpoint: Endpoint, sender_id: bytes
    ) -> PendingCall | MatchFailure:
        """Take out the call that a response answers; else the reason why it counts for none."""
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
        """The call of an rpc id, where one is in flight."""
        return self._by_rpc_id.get(rpc_id)

    def restart(
        self, rpc_id: bytes, endpoint: Endpoint, now: float, max_timeout: float
    ) -> PendingCall | None:
        """The call in flight to that endpoint, whose times count from now on; None where there
        is none. No deadline of over ``max_timeout`` seconds is put off."""
        call = self._by_rpc_id.get(rpc_id)
        if call is None or call.endpoint != endpoint:
            return None
        max_extension = max_timeout - (call.deadline - call.sent_at)
        call.deadline += max(0.0, min(now - call.sent_at, max_extension))
        call.sent_at = now
        call.due_at = call.deadline
        if call.on_late is not None and call.rto > 0:
            call.due_at = _next_due(call)
        return call

    def cancel(self, call: PendingCall) -> bool:
        """Forget a call: its answer will count as unasked; whether it was still in flight."""
        return self._by_rpc_id.pop(call.rpc_id, None) is not None

    def next_due(self) -> float | None:
        """When ``pop_due`` has something to say at the earliest."""
        return self._next_due_at if self._by_rpc_id else None

    def pop_due(self, now: float) -> list[tuple[PendingCall, bool]]:
        """The calls whose time came, in its order; with True those that are over, taken out;
        with False those that are late only. Who looks seldom hears only the last of it."""
        if now < self._next_due_at:
            return []
        due = [call for call in self._by_rpc_id.values() if call.due_at <= now]
        due.sort(key=lambda call: call.due_at)
        result = [(call, now >= call.deadline) for call in due]
        for call, is_expired in result:
            if is_expired:
                del self._by_rpc_id[call.rpc_id]
            else:
                call.late_count += 1
                call.due_at = _next_due(call)
        self._next_due_at = min(
            (call.due_at for call in self._by_rpc_id.values()), default=math.inf
        )
        return result

    def drain(self) -> list[PendingCall]:
        """Take out all calls."""
        calls = list(self._by_rpc_id.values())
        self._by_rpc_id.clear()
        self._next_due_at = math.inf
        return calls


def _next_due(call: PendingCall) -> float:
    """When next to look after a call that was just said to be late."""
    if call.late_count < len(_LATE_AFTER_RTOS):
        return min(call.deadline, call.sent_at + call.rto * _LATE_AFTER_RTOS[call.late_count])
    return call.deadline
