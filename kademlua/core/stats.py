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
        "dropped",
        "errors_out",
        "failed",
        "handed_on",
        "let_go",
        "packets_in",
        "packets_out",
        "refused",
        "repeated",
        "requests",
        "started",
        "timeouts",
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
        self.timeouts = 0
        self.failed = 0
        """Calls of ours answered with 130 or 131, or with something unreadable."""
        self.handed_on = 0
        """Values that others took of those that we handed on."""
        self.let_go = 0
        """Values that we let go since nearer nodes hold them."""
        self.errors_out = 0
        """Requests that we answered with 130 or 131."""
        self.calls: Counter[str] = Counter()
        """Calls of ours by RPC."""
        self.requests: Counter[str] = Counter()
        """Requests served by RPC."""
        self.dropped: Counter[str] = Counter()
        """Datagrams dropped, by reason. A reply that is late, comes twice, or was never
        asked for is an "unasked response"."""

        self.refused: Counter[str] = Counter()
        """Stores that we refused, by reason."""

    def snapshot(self, now: float) -> dict[str, object]:
        """All of it as plain values; ``seconds`` is the time since the node began."""
        return {
            "seconds": round(now - self.started, 3),
            "packets_in": self.packets_in,
            "packets_out": self.packets_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "calls": dict(self.calls),
            "answered": self.answered,
            "repeated": self.repeated,
            "timeouts": self.timeouts,
            "failed": self.failed,
            "requests": dict(self.requests),
            "errors_out": self.errors_out,
            "refused": dict(self.refused),
            "dropped": dict(self.dropped),
            "handed_on": self.handed_on,
            "let_go": self.let_go,
        }
