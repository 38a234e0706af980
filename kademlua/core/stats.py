"""Plain counters: an integer addition on the hot path, a dictionary on demand."""

from __future__ import annotations

from collections import Counter


class Stats:
    """What a node counted since it began. ``snapshot()`` is for people and scripts."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "calls_by_purpose",
        "calls_by_rpc",
        "cancelled_by_rpc",
        "deferred",
        "dropped",
        "errors_out_by_rpc",
        "failures_by_rpc",
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
        "started_at",
        "timeouts_by_rpc",
    )

    def __init__(self, now: float) -> None:
        self.started_at = now
        self.packets_in = 0
        self.packets_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.replies = 0
        """Calls of ours that were answered."""
        self.retransmitted = 0
        """Requests of ours sent a second time, since the answer was late."""
        self.timeouts_by_rpc: Counter[str] = Counter()
        """Calls of ours by RPC that nobody answered in time."""
        self.failures_by_rpc: Counter[str] = Counter()
        """Calls of ours by RPC answered with 130 or 131, or with something unreadable."""
        self.cancelled_by_rpc: Counter[str] = Counter()
        """Calls of ours by RPC whose caller waited no longer."""
        self.errors_out_by_rpc: Counter[str] = Counter()
        """Requests by RPC that we answered with 130 or 131; those of no RPC that we have are
        "unknown"."""
        self.replicated = 0
        """Values that others took of those that we handed on."""
        self.released = 0
        """Values that we let go since nearer nodes hold them."""
        self.calls_by_rpc: Counter[str] = Counter()
        """Calls of ours by RPC."""
        self.requests_by_rpc: Counter[str] = Counter()
        """Requests served by RPC."""
        self.calls_by_purpose: Counter[str] = Counter()
        """Calls of ours by what they were for: find_node, find_value, store, remove and call,
        which the program asked for; publish, replicate, mend and leave, which keep values;
        join, settle, refresh and probe, which keep the routing table; reach, which is for how
        others see this node, or another."""
        self.dropped: Counter[str] = Counter()
        """Datagrams dropped, by reason. A reply that is late, comes twice, or was never
        asked for is an "unexpected response"."""

        self.rate_limited: Counter[str] = Counter()
        """Requests not answered since there were too many of them, by the bound they met."""
        self.deferred: Counter[str] = Counter()
        """Requests whose answer had to wait for a proof of their sender's address, by what
        became of them."""
        self.refused_stores: Counter[str] = Counter()
        """Stores that we refused, by reason."""
        self.rejected_records: Counter[str] = Counter()
        """Records that we found and did not believe, by reason."""

    @property
    def timeouts(self) -> int:
        """Calls of ours that nobody answered in time."""
        return self.timeouts_by_rpc.total()

    @property
    def failures(self) -> int:
        """Calls of ours answered with 130 or 131, or with something unreadable."""
        return self.failures_by_rpc.total()

    @property
    def errors_out(self) -> int:
        """Requests that we answered with 130 or 131."""
        return self.errors_out_by_rpc.total()

    def snapshot(self, now: float) -> dict[str, object]:
        """Return all counters as plain values.

        ``seconds`` is the time since the node started; ``timeouts``, ``failures`` and
        ``errors_out`` are the sums of the counters by RPC.
        """
        counters = {name: getattr(self, name) for name in self.__slots__ if name != "started_at"}
        return {
            "seconds": round(now - self.started_at, 3),
            "timeouts": self.timeouts,
            "failures": self.failures,
            "errors_out": self.errors_out,
            **{
                name: _plain(value) if isinstance(value, Counter) else value
                for name, value in counters.items()
            },
        }


def _plain(counts: Counter[str]) -> dict[str, int]:
    """Return counts by plain strings: members of enumerations would be shown by name."""
    return {str(key): count for key, count in counts.items()}
