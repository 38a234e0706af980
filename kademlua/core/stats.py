"""Plain counters: an integer addition on the hot path, a dictionary on demand."""

from __future__ import annotations

from collections import Counter


class Stats:
    """What a node counted since it began. ``snapshot()`` is for people and scripts."""

    __slots__ = (
        "answered",
        "bytes_in",
        "bytes_out",
        "calls",
        "caused",
        "disbelieved",
        "dropped",
        "errors_by",
        "failed_by",
        "given_up",
        "handed_on",
        "held",
        "let_go",
        "packets_in",
        "packets_out",
        "refused",
        "repeated",
        "requests",
        "started",
        "throttled",
        "timed_out",
    )

    def __init__(self, now: float) -> None:
        self.started = now
        self.packets_in = 0
        self.packets_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.answered = 0
        """Calls of ours that were answered."""
        self.repeated = 0
        """Requests of ours sent a second time, since the answer was late."""
        self.timed_out: Counter[str] = Counter()
        """Calls of ours by RPC that nobody answered in time."""
        self.failed_by: Counter[str] = Counter()
        """Calls of ours by RPC answered with 130 or 131, or with something unreadable."""
        self.given_up: Counter[str] = Counter()
        """Calls of ours by RPC whose caller waited no longer."""
        self.errors_by: Counter[str] = Counter()
        """Requests by RPC that we answered with 130 or 131; those of no RPC that we have are
        "unknown"."""
        self.handed_on = 0
        """Values that others took of those that we handed on."""
        self.let_go = 0
        """Values that we let go since nearer nodes hold them."""
        self.calls: Counter[str] = Counter()
        """Calls of ours by RPC."""
        self.requests: Counter[str] = Counter()
        """Requests served by RPC."""
        self.caused: Counter[str] = Counter()
        """Calls of ours by what they were for: find_node, find_value, store, remove and call,
        which the program asked for; publish, replicate, mend and leave, which keep values;
        join, settle, refresh and probe, which keep the routing table; reach, which is for how
        others see this node, or another."""
        self.dropped: Counter[str] = Counter()
        """Datagrams dropped, by reason. A reply that is late, comes twice, or was never
        asked for is an "unasked response"."""

        self.throttled: Counter[str] = Counter()
        """Requests not answered since there were too many of them, by the bound they met."""
        self.held: Counter[str] = Counter()
        """Requests whose answer had to wait for a proof of their sender's address, by what
        became of them."""
        self.refused: Counter[str] = Counter()
        """Stores that we refused, by reason."""
        self.disbelieved: Counter[str] = Counter()
        """Records that we found and did not believe, by reason."""

    @property
    def timeouts(self) -> int:
        """Calls of ours that nobody answered in time."""
        return self.timed_out.total()

    @property
    def failed(self) -> int:
        """Calls of ours answered with 130 or 131, or with something unreadable."""
        return self.failed_by.total()

    @property
    def errors_out(self) -> int:
        """Requests that we answered with 130 or 131."""
        return self.errors_by.total()

    def snapshot(self, now: float) -> dict[str, object]:
        """All of it as plain values; ``seconds`` is the time since the node began."""
        return {
            "seconds": round(now - self.started, 3),
            "packets_in": self.packets_in,
            "packets_out": self.packets_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "calls": dict(self.calls),
            "caused": dict(self.caused),
            "answered": self.answered,
            "repeated": self.repeated,
            "timeouts": self.timeouts,
            "timed_out": dict(self.timed_out),
            "given_up": dict(self.given_up),
            "failed": self.failed,
            "failed_by": dict(self.failed_by),
            "requests": dict(self.requests),
            "errors_out": self.errors_out,
            "errors_by": dict(self.errors_by),
            "refused": dict(self.refused),
            "disbelieved": dict(self.disbelieved),
            "dropped": dict(self.dropped),
            "throttled": dict(self.throttled),
            "held": dict(self.held),
            "handed_on": self.handed_on,
            "let_go": self.let_go,
        }
