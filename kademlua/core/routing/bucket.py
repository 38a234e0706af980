"""A k-bucket and its entries."""

from __future__ import annotations

import math

from kademlua.core.contact import Contact
from kademlua.core.routing.rtt import RttEstimator


class TableEntry(RttEstimator):
    """A contact in the table, when it was last heard from, and how far away it is."""

    __slots__ = ("contact", "last_replied", "last_seen", "last_served")

    def __init__(self, contact: Contact, now: float) -> None:
        super().__init__()
        self.contact = contact
        self.last_seen = now
        self.last_replied = now
        """When it last answered: a request that seems to be its own can be forged."""
        self.last_served = -math.inf
        """When it was last answered by us: since then we are no stranger to it."""


class KBucket:
    """Up to k contacts by id number, least recently seen first, and who waits for a place."""

    __slots__ = ("contacts", "refreshed_at", "replacements")

    def __init__(self, now: float) -> None:
        self.contacts: dict[int, Contact] = {}
        self.replacements: dict[int, Contact] = {}
        """The replacement cache: contacts that answered while the bucket was full, the
        most recently seen last."""
        self.refreshed_at = now
        """When an id of this bucket was last looked up."""
