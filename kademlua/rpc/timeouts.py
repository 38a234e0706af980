"""Patience: how long a node waits for whom, learnt from the round trips of its calls."""

from __future__ import annotations

import math

from kademlua.core.contact import Contact
from kademlua.core.pending_calls import Call
from kademlua.core.routing.rtt import RoundTrip
from kademlua.runtime.context import Context

_TOLERANCE = 4
"""A call is over when its answer has taken so many times what makes it late."""
_LEAST = 0.1
"""And not before so many seconds: a busy machine is not a dead one."""
_SWIFT = 0.02
"""A round trip of fewer seconds is short."""
_CALM = 10
"""Seconds for which a late answer is thought of."""


class Patience:
    """What one node knows of the time that answers take."""

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._params = context.params
        self._clock = context.clock
        self._observers = context.observers
        self._overall = RoundTrip()
        self._late_at = -math.inf
        self._stretch = 1.0
        """How many times longer than usual answers take just now: where this machine or its
        line is busy, that is so of all contacts, and those not heard from lately show it late."""

    def measured(self, call: Call, contact: Contact, now: float) -> None:
        """A call of ours was answered by this contact."""
        peer = self._table.get(contact.id)
        path: RoundTrip = self._overall if peer is None or peer.contact != contact else peer
        seconds = now - call.sent
        if call.reminders and seconds - call.patience > path.smoothed / 2:
            seconds -= call.patience  # it seems to be the answer to the repetition
        self._overall.sample(seconds)
        timings = self._observers.timings
        if timings is not None:
            timings.round_trip(call.name, seconds)
        if path is not self._overall:
            if path.smoothed > 0:
                stretch = self._stretch
                self._stretch += (min(seconds / path.smoothed, 2 * stretch + 1) - stretch) / 8
            path.sample(seconds)

    def late(self) -> None:
        """An answer is late."""
        self._late_at = self._clock()

    def with_contact(self, contact: Contact, least: float | None = None) -> float:
        """Seconds after which an answer of this contact counts as late; never under ``least``,
        by default ``Params.min_patience``.

        From its own round trips where they are known, else from all paths together.
        """
        peer = self._table.get(contact.id)
        path: RoundTrip = self._overall if peer is None or peer.smoothed < 0 else peer
        params = self._params
        patience = path.patience(least or params.min_patience, params.rpc_timeout)
        return min(max(1.0, self._stretch) * patience, params.rpc_timeout)

    def until_over(self, patience: float) -> float:
        """Seconds after which a call is over whose answer is late after ``patience``."""
        return min(max(_TOLERANCE * patience, _LEAST), self._params.rpc_timeout)

    @property
    def is_swift(self) -> bool:
        """Whether round trips are so short that to wait for one costs less than a question."""
        return 0 <= self._overall.smoothed < _SWIFT

    @property
    def is_calm(self) -> bool:
        """Whether they are short, and no answer was late lately."""
        return self.is_swift and self._clock() - self._late_at > _CALM
