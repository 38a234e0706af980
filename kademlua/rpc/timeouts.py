"""Patience: how long a node waits for whom, learnt from the round trips of its calls."""

from __future__ import annotations

import math

from kademlua.core.contact import Contact
from kademlua.core.pending_calls import PendingCall
from kademlua.core.routing.rtt import RttEstimator
from kademlua.runtime.context import Context

_TIMEOUT_RTOS = 4
"""A call is over when its answer has taken so many times what makes it late."""
_MIN_TIMEOUT = 0.1
"""And not before so many seconds: a busy machine is not a dead one."""
_LOW_LATENCY_RTT = 0.02
"""A round trip of fewer seconds is short."""
_STABLE_AFTER = 10
"""Seconds for which a late answer is thought of."""


class RtoEstimator:
    """What one node knows of the time that answers take."""

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._params = context.params
        self._clock = context.clock
        self._observers = context.observers
        self._overall_rtt = RttEstimator()
        self._last_late_at = -math.inf
        self._load_factor = 1.0
        """How many times longer than usual answers take just now: where this machine or its
        line is busy, that is so of all contacts, and those not heard from lately show it late."""

    def on_reply(self, call: PendingCall, contact: Contact, now: float) -> None:
        """A call of ours was answered by this contact."""
        entry = self._table.get(contact.id)
        estimator: RttEstimator = (
            self._overall_rtt if entry is None or entry.contact != contact else entry
        )
        rtt = now - call.sent_at
        if call.late_count and rtt - call.rto > estimator.srtt / 2:
            rtt -= call.rto  # it seems to be the answer to the repetition
        self._overall_rtt.add_sample(rtt)
        histograms = self._observers.latency_histograms
        if histograms is not None:
            histograms.observe_rtt(call.name, rtt)
        if estimator is not self._overall_rtt:
            if estimator.srtt > 0:
                load_factor = self._load_factor
                self._load_factor += (
                    min(rtt / estimator.srtt, 2 * load_factor + 1) - load_factor
                ) / 8
            estimator.add_sample(rtt)

    def on_late(self) -> None:
        """An answer is late."""
        self._last_late_at = self._clock()

    def rto_for(self, contact: Contact, min_rto: float | None = None) -> float:
        """Seconds after which an answer of this contact counts as late; never under ``min_rto``,
        by default ``Params.min_rto``.

        From its own round trips where they are known, else from all paths together.
        """
        entry = self._table.get(contact.id)
        estimator: RttEstimator = self._overall_rtt if entry is None or entry.srtt < 0 else entry
        params = self._params
        rto = estimator.rto(min_rto or params.min_rto, params.rpc_timeout)
        return min(max(1.0, self._load_factor) * rto, params.rpc_timeout)

    def timeout_for(self, rto: float) -> float:
        """Seconds after which a call is over whose answer is late after ``rto``."""
        return min(max(_TIMEOUT_RTOS * rto, _MIN_TIMEOUT), self._params.rpc_timeout)

    @property
    def is_low_latency(self) -> bool:
        """Whether round trips are so short that to wait for one costs less than a question."""
        return 0 <= self._overall_rtt.srtt < _LOW_LATENCY_RTT

    @property
    def is_stable(self) -> bool:
        """Whether they are short, and no answer was late lately."""
        return self.is_low_latency and self._clock() - self._last_late_at > _STABLE_AFTER
