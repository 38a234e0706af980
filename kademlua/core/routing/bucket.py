"""A k-bucket and its entries."""

from __future__ import annotations

import math

from kademlua.core.contact import Contact
from kademlua.core.routing.rtt import RttEstimator


class TableEntry(RttEstimator):
    """A contact in the table, with the times of its packets and its round-trip time."""

    __slots__ = ("contact", "last_replied", "last_seen", "last_served")

    def __init__(self, contact: Contact, now: float) -> None:
        super().__init__()
        self.contact = contact
        self.last_seen = now
        self.last_replied = now
        """When it last replied to this node. A request with its id may be forged."""
        self.last_served = -math.inf
        """When this node last replied to it, and so proved its own address."""


class KBucket:
    """At most k contacts by id, least recently seen first, and a replacement cache."""

    __slots__ = ("contacts", "refreshed_at", "replacements")

    def __init__(self, now: float) -> None:
        self.contacts: dict[int, Contact] = {}
        self.replacements: dict[int, Contact] = {}
        """The replacement cache: contacts that replied while the bucket was full, most recent
        last."""
        self.refreshed_at = now
        """When an id in this bucket was last looked up."""
