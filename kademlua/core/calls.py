"""The table of calls in flight: rpc id to call, and when to stop waiting.

A call may have a patience, after which its answer is late for this path: whoever waits is
told so then, and once more later, and may look elsewhere. The answer still counts
until the deadline, at which the call is over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import KademluaError, TooManyCalls

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


class Calls:
    """Calls in flight, bounded; matched by all that a reply must show."""

    __slots__ = ("_by_rpc_id", "_due", "_limit", "_order")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_rpc_id: dict[bytes, Call] = {}
        # (when, order of entry, call); ended calls leave their row behind until its time
        # comes, which is a deadline at most.
        self._due: list[tuple[float, int, Call]] = []
        self._order = 0

    def __len__(self) -> int:
        return len(self._by_rpc_id)

    def begin(self, call: Call) -> None:
        """Enter a call; TooManyCalls at the limit."""
        if len(self._by_rpc_id) >= self._limit:
            raise TooManyCalls(f"{self._limit} calls are in flight")
        self._by_rpc_id[call.rpc_id] = call
        self._await(call)

    def _await(self, call: Call) -> None:
        """Note when next to look after a call."""
        when = call.deadline
        if call.late is not None and call.patience > 0 and call.reminders < 2:
            when = min(when, call.sent + call.patience * _LATE[call.reminders])
        self._order += 1
        heapq.heappush(self._due, (when, self._order, call))

    def match(self, rpc_id: bytes, endpoint: Endpoint, sender_id: bytes) -> Call | str:
        """Take out the call that a response answers; else the reason why it counts for none."""
        call = self._by_rpc_id.get(rpc_id)
        if call is None:
            return "unasked response"
        if call.endpoint != endpoint:
            return "response from elsewhere"
        if call.contact is not None and call.contact.id != sender_id:
            return "response of another id"
        del self._by_rpc_id[rpc_id]
        return call

    def cancel(self, call: Call) -> None:
        """Forget a call: its answer will count as unasked."""
        self._by_rpc_id.pop(call.rpc_id, None)

    def next_due(self) -> float | None:
        """When ``overdue`` has something to say at the earliest."""
        return self._due[0][0] if self._due else None

    def overdue(self, now: float) -> list[tuple[Call, bool]]:
        """The calls whose time came: with True those that are over, taken out; with False
        those that are late only."""
        result = []
        due, known = self._due, self._by_rpc_id
        while due and due[0][0] <= now:
            when, _, call = heapq.heappop(due)
            if known.get(call.rpc_id) is not call:
                continue
            if when >= call.deadline:
                del known[call.rpc_id]
                result.append((call, True))
            else:
                call.reminders += 1
                self._await(call)
                result.append((call, False))
        return result

    def drain(self) -> list[Call]:
        """Take out all calls."""
        calls = list(self._by_rpc_id.values())
        self._by_rpc_id.clear()
        self._due.clear()
        return calls
