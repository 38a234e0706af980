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

_LATE = (1.0, 2.5)
"""After so many times its patience a call is said to be late: then it is sent once more, and
then its answer to the repetition should have been there."""


class Call:
    """One RPC of ours under way. ``done`` is called once, with its values or its error."""

    __slots__ = (
        "contact",
        "datagram",
        "deadline",
        "done",
        "due",
        "endpoint",
        "late",
        "name",
        "patience",
        "reminders",
        "rpc_id",
        "sent",
    )

    def __init__(
        self,
        rpc_id: bytes,
        endpoint: Endpoint,
        contact: Contact | None,
        name: str,
        sent: float,
        deadline: float,
        done: Callable[[Call, list[Any] | KademluaError], None],
        late: Callable[[Call], None] | None = None,
        patience: float = 0.0,
        datagram: bytes = b"",
    ) -> None:
        self.rpc_id = rpc_id
        self.endpoint = endpoint
        self.contact = contact
        """Whose id must answer; None until the answer where that is not known."""
        self.name = name
        self.sent = sent
        self.deadline = deadline
        self.done = done
        self.late = late
        """Called when the answer is late, and when it is very late; it may still come."""
        self.patience = patience
        self.reminders = 0
        """How often it was said to be late."""
        self.datagram = datagram
        """What was sent, to be sent once more when the answer is late."""
        self.due = deadline
        """When next to look after it."""
        if late is not None and patience > 0:
            self.due = min(deadline, sent + patience)


class Calls:
    """Calls in flight, bounded; matched by all that a reply must show.

    There is no queue of deadlines: nearly all calls are answered long before theirs, so those
    few that are in flight when the earliest comes are looked through.
    """

    __slots__ = ("_by_rpc_id", "_limit", "_next")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_rpc_id: dict[bytes, Call] = {}
        self._next = math.inf
        """When the earliest of all that were in flight at the last look, or began since, is
        due; it may have ended."""

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def names(self) -> Iterator[str]:
        """The RPC of each."""
        return (call.name for call in self._by_rpc_id.values())

    def begin(self, call: Call) -> None:
        """Enter a call; TooManyCalls at the limit."""
        if len(self._by_rpc_id) >= self._limit:
            raise TooManyCalls(f"{self._limit} calls are in flight")
        self._by_rpc_id[call.rpc_id] = call
        if call.due < self._next:
            self._next = call.due

    def match(self, rpc_id: bytes, endpoint: Endpoint, sender_id: bytes) -> Call | MatchFailure:
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

    def get(self, rpc_id: bytes) -> Call | None:
        """The call of an rpc id, where one is in flight."""
        return self._by_rpc_id.get(rpc_id)

    def begun_again(
        self, rpc_id: bytes, endpoint: Endpoint, now: float, longest: float
    ) -> Call | None:
        """The call in flight to that endpoint, whose times count from now on; None where there
        is none. No deadline of over ``longest`` seconds is put off."""
        call = self._by_rpc_id.get(rpc_id)
        if call is None or call.endpoint != endpoint:
            return None
        room = longest - (call.deadline - call.sent)
        call.deadline += max(0.0, min(now - call.sent, room))
        call.sent = now
        call.due = call.deadline
        if call.late is not None and call.patience > 0:
            call.due = _after(call)
        return call

    def cancel(self, call: Call) -> bool:
        """Forget a call: its answer will count as unasked; whether it was still in flight."""
        return self._by_rpc_id.pop(call.rpc_id, None) is not None

    def next_due(self) -> float | None:
        """When ``overdue`` has something to say at the earliest."""
        return self._next if self._by_rpc_id else None

    def overdue(self, now: float) -> list[tuple[Call, bool]]:
        """The calls whose time came, in its order; with True those that are over, taken out;
        with False those that are late only. Who looks seldom hears only the last of it."""
        if now < self._next:
            return []
        due = [call for call in self._by_rpc_id.values() if call.due <= now]
        due.sort(key=lambda call: call.due)
        result = [(call, now >= call.deadline) for call in due]
        for call, is_over in result:
            if is_over:
                del self._by_rpc_id[call.rpc_id]
            else:
                call.reminders += 1
                call.due = _after(call)
        self._next = min((call.due for call in self._by_rpc_id.values()), default=math.inf)
        return result

    def drain(self) -> list[Call]:
        """Take out all calls."""
        calls = list(self._by_rpc_id.values())
        self._by_rpc_id.clear()
        self._next = math.inf
        return calls


def _after(call: Call) -> float:
    """When next to look after a call that was just said to be late."""
    if call.reminders < len(_LATE):
        return min(call.deadline, call.sent + call.patience * _LATE[call.reminders])
    return call.deadline
