"""Retransmission timeouts, learned from the round trips of a node's calls (RFC 6298)."""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.pending_calls import PendingCall
from kademlua.core.routing.bucket import TableEntry
from kademlua.core.routing.rtt import RttEstimator
from kademlua.runtime.context import Context

MIN_WRITE_RTO: Final = 0.005
"""Lower bound of the RTO of a store or remove, in seconds: the callee may wait for a disk."""
_TIMEOUT_RTOS: Final = 4
"""A call fails after this multiple of its RTO,"""
_MIN_TIMEOUT: Final = 0.1
"""but not within this many seconds: a busy machine is not a dead one."""
_MIN_PATIENT_TIMEOUT: Final = 1.0
"""The same for the queries of a lookup, which goes on in the meantime: a slow peer may be the only
one with a value. Also for stores at a contact that has just replied: it is busy, not dead."""
_LOW_LATENCY_RTT: Final = 0.02
"""Round trips below this many seconds count as short."""


class RtoEstimator:
    """Round-trip estimates of one node, per contact and overall."""

    def __init__(self, context: Context) -> None:
        self._table = context.table
        self._params = context.params
        self._observers = context.observers
        self._overall_rtt = RttEstimator()
        self._load_factor = 1.0
        """How much longer replies take than usual at present.

        A busy machine or link delays the replies of all contacts, including those whose own
        estimate is old.
        """

    def on_reply(self, call: PendingCall, entry: TableEntry | None, now: float) -> None:
        """Record the round trip of a call; ``entry`` is that of its contact in the table."""
        estimator = None if entry is None else entry.rtt
        rtt = now - call.sent_at
        histograms = self._observers.latency_histograms
        if histograms is not None:
            histograms.observe_rtt(call.name, rtt)
        resent_after = call.rto if call.late_count else 0.0
        if estimator is not None and estimator.srtt > 0:
            load_factor, least_rtt = self._load_factor, rtt - resent_after
            self._load_factor += (
                min(least_rtt / estimator.srtt, 2 * load_factor + 1) - load_factor
            ) / 8
        for each in (self._overall_rtt, estimator):
            if each is not None:
                each.add_sample(rtt, resent_after)

    def rto_for(self, contact: Contact, min_rto: float | None = None) -> float:
        """Return the seconds after which a reply of this contact is late.

        At least ``min_rto``, default ``Params.min_rto``. The estimate is the contact's own if
        there is one. It is the overall one for unknown contacts and where round trips are short:
        there, the load of this machine says more than what a contact took earlier.
        """
        params, overall_rtt = self._params, self._overall_rtt
        minimum, maximum = min_rto or params.min_rto, params.rpc_timeout
        entry = self._table.get_contact(contact)
        if entry is None or entry.rtt.srtt < 0:
            return overall_rtt.rto(minimum, maximum)
        if entry.rtt.srtt < _LOW_LATENCY_RTT and self.is_low_latency:
            return overall_rtt.rto(minimum, maximum)
        return min(max(1.0, self._load_factor) * entry.rtt.rto(minimum, maximum), maximum)

    def timeout_for(self, rto: float) -> float:
        """Return the seconds after which a call with this RTO fails."""
        return min(max(_TIMEOUT_RTOS * rto, _MIN_TIMEOUT), self._params.rpc_timeout)

    def patient_timeout_for(self, rto: float) -> float:
        """Return the seconds after which a query of a lookup fails, or a store at a contact that
        has just replied."""
        return min(max(_TIMEOUT_RTOS * rto, _MIN_PATIENT_TIMEOUT), self._params.rpc_timeout)

    @property
    def is_low_latency(self) -> bool:
        """Whether a round trip is so short that waiting for it costs less than another query."""
        return 0 <= self._overall_rtt.srtt < _LOW_LATENCY_RTT
