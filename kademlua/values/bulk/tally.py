"""Tally: what a bulk operation costs."""

from __future__ import annotations


class Tally:
    """Counts of one bulk operation so far. Other threads may read them."""

    __slots__ = ("lookups", "queries", "requests")

    def __init__(self) -> None:
        self.lookups = 0
        """Lookups that keys share. Those of single keys are not counted."""
        self.queries = 0
        """Queries of these lookups."""
        self.requests = 0
        """Requests to the holders that they found."""
