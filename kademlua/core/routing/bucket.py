"""A k-bucket and its entries."""

from __future__ import annotations

import math

from kademlua.core.contact import Contact
from kademlua.core.routing.rtt import RoundTrip


class Peer(RoundTrip):
    """A contact in the table, when it was last heard from, and how far away it is."""

    __slots__ = ("answered", "asked", "contact", "heard")

    def __init__(self, contact: Contact, now: float) -> None:
        super().__init__()
        self.contact = contact
        self.heard = now
        self.answered = now
        """When it last answered: a request that seems to be its own can be forged."""
        self.asked = -math.inf
        """When it was last answered by us: since then we are no stranger to it."""


class KBucket:
    """Up to k contacts by id number, least recently seen first, and who waits for a place."""

    __slots__ = ("contacts", "looked_up", "replacements")

    def __init__(self, now: float) -> None:
        self.contacts: dict[int, Contact] = {}
        self.replacements: dict[int, Contact] = {}
        """The replacement cache: contacts that answered while the bucket was full, the
        most recently seen last."""
        self.looked_up = now
        """When an id of this bucket was last looked up."""
