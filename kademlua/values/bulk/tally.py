"""Tally: what a bulk operation costs."""

from __future__ import annotations


class Tally:
    """Counts of one bulk operation so far. Other threads may read them."""

    __slots__ = ("lookups", "queries", "stores")

    def __init__(self) -> None:
        self.lookups = 0
        """Lookups that keys share. Those of single keys are not counted."""
        self.queries = 0
        """Queries of these lookups."""
        self.stores = 0
        """Requests that store values at the nodes that they found."""
