"""Counters of one node: plain integers, and a dictionary on demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

Counts = defaultdict[str, int]
"""Counters by name, each 0 at first. To count in a ``collections.Counter`` takes three times as
long."""


def add_counts(counts: Counts, others: Mapping[str, int]) -> None:
    """Add other counts to those of the same names."""
    for name, count in others.items():
        counts[name] += count


COUNTERS: Final = (
    "bytes_in",
    "bytes_out",
    "calls_by_purpose",
    "calls_by_rpc",
    "cancelled_by_rpc",
    "deferred",
    "dropped",
    "errors_out_by_rpc",
    "failures_by_rpc",
    "ignored_values",
    "packets_in",
    "packets_out",
    "rate_limited",
    "refused_stores",
    "rejected_records",
    "released",
    "replicated",
    "replies",
    "requests_by_rpc",
    "retransmitted",
    "timeouts_by_rpc",
)
"""The counters of ``Stats``, by name."""


class Stats:
    """All counters since the node started."""

    __slots__ = (*COUNTERS, "started_at")

    def __init__(self, now: float) -> None:
        self.started_at = now
        self.packets_in = 0
        self.packets_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.replies = 0
        """Calls of this node with a reply."""
        self.retransmitted = 0
        """Requests sent a second time because the reply was late."""
        self.timeouts_by_rpc: Counts = Counts(int)
        """Calls of this node without a reply in time."""
        self.failures_by_rpc: Counts = Counts(int)
        """Calls of this node answered with an error, 130 or 131, or with a malformed reply."""
        self.cancelled_by_rpc: Counts = Counts(int)
        """Calls of this node whose caller stopped waiting."""
        self.errors_out_by_rpc: Counts = Counts(int)
        """Requests that this node answered with an error; "unknown" for RPCs that it does not
        have."""
        self.replicated = 0
        """Values that other nodes accepted from this one."""
        self.released = 0
        """Values that this node released because closer nodes hold them."""
        self.calls_by_rpc: Counts = Counts(int)
        """Calls of this node."""
        self.requests_by_rpc: Counts = Counts(int)
        """Requests that this node served."""
        self.calls_by_purpose: Counts = Counts(int)
        """Calls of this node by ``Purpose``."""
        self.dropped: Counts = Counts(int)
        """Dropped datagrams, by DropReason or MatchFailure. A late or repeated reply is an
        "unexpected response"."""
        self.rate_limited: Counts = Counts(int)
        """Requests dropped by a rate limit, by the limit."""
        self.deferred: Counts = Counts(int)
        """Requests that waited for the validation of their sender's address, by outcome."""
        self.refused_stores: Counts = Counts(int)
        """Stores that this node refused, by reason."""
        self.ignored_values: Counts = Counts(int)
        """Values that this node found and ignored, by ``IgnoredValue``."""
        self.rejected_records: Counts = Counts(int)
        """Records that this node found and rejected, by reason."""

    def snapshot(self, now: float) -> dict[str, object]:
        """Return all counters as plain values.

        ``seconds`` is the time since the node started; ``timeouts``, ``failures`` and
        ``errors_out`` are the sums of the counters by RPC.
        """
        counters = {name: getattr(self, name) for name in COUNTERS}
        return {
            "seconds": round(now - self.started_at, 3),
            "timeouts": sum(self.timeouts_by_rpc.values()),
            "failures": sum(self.failures_by_rpc.values()),
            "errors_out": sum(self.errors_out_by_rpc.values()),
            **{
                name: _plain(value) if isinstance(value, defaultdict) else value
                for name, value in counters.items()
            },
        }


def _plain(counts: Counts) -> dict[str, int]:
    """Return counts by plain strings: members of enumerations would be shown by name."""
    return {str(key): count for key, count in counts.items()}
