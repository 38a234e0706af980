"""A k-bucket and its entries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from kademlua.core.contact import Contact
from kademlua.core.ids import prefix_of
from kademlua.core.routing.rtt import RttEstimator


class TableEntry:
    """A contact in the table, with the times of its packets and its round-trip time."""

    __slots__ = ("contact", "last_replied", "last_seen", "rtt", "validated_at")

    def __init__(self, contact: Contact, now: float) -> None:
        self.contact = contact
        self.rtt = RttEstimator()
        self.last_seen = now
        self.last_replied = now
        """When it last replied to this node. A request with its id may be forged."""
        self.validated_at = -math.inf
        """When this node last proved its own address to it, by a reply or a write token."""


class KBucket:
    """At most k contacts, and a replacement cache."""

    __slots__ = ("contacts", "has_twins", "is_crowded", "refreshed_at", "replacements", "subnets")

    def __init__(self, now: float) -> None:
        self.contacts: list[Contact] = []
        """The oldest first."""
        self.is_crowded = False
        """Whether a contact entered whose subnet was over its limits."""
        self.has_twins = False
        """Whether a contact entered whose id has the same prefix as another one's."""
        self.subnets: dict[bytes, int] = {}
        """The number of contacts in each subnet that is limited."""
        self.replacements: dict[int, Contact] = {}
        """The replacement cache: contacts that replied while the bucket was full, most recent
        last."""
        self.refreshed_at = now
        """When an id in this bucket was last looked up."""

    def add(self, contact: Contact) -> None:
        """Add a contact, for which there must be space."""
        if not self.has_twins:
            self.has_twins = any(each.prefix == contact.prefix for each in self.contacts)
        self.contacts.append(contact)

    def sort_by_distance(self, contacts: list[Contact], target_int: int) -> None:
        """Sort contacts of this bucket by the distance to a target, nearest first."""
        if self.has_twins:
            contacts.sort(key=lambda each: each.id_int ^ target_int)
        else:
            target_prefix = prefix_of(target_int)
            contacts.sort(key=lambda each: each.prefix ^ target_prefix)

    def split(self, local_int: int, limit: int) -> KBucket:
        """Move the contacts and replacements nearer to the own id than ``limit`` to a new bucket,
        and return it."""
        new = KBucket(self.refreshed_at)
        new.is_crowded, new.has_twins = self.is_crowded, self.has_twins
        new.contacts = [each for each in self.contacts if each.id_int ^ local_int < limit]
        self.contacts = [each for each in self.contacts if each.id_int ^ local_int >= limit]
        for id_int in [each for each in self.replacements if each ^ local_int < limit]:
            new.replacements[id_int] = self.replacements.pop(id_int)
        return new

    def add_replacement(
        self,
        contact: Contact,
        limit: int,
        find_surplus: Callable[[Iterable[Contact]], Contact | None],
    ) -> None:
        """Add a contact to the replacement cache.

        At the limit, it replaces the contact that ``find_surplus`` returns, or the oldest one.
        """
        replacements = self.replacements
        replacements.pop(contact.id_int, None)
        if len(replacements) >= limit:
            surplus = find_surplus([*replacements.values(), contact])
            del replacements[next(iter(replacements)) if surplus is None else surplus.id_int]
        replacements[contact.id_int] = contact

    def pop_replacement(
        self, is_usable: Callable[[Contact], bool], is_crowded: Callable[[Contact], bool]
    ) -> Contact | None:
        """Remove and return the most recent usable replacement; a crowded one only if all are.

        Unusable replacements are dropped.
        """
        newest_first = list(reversed(self.replacements.values()))
        crowded = None
        for contact in newest_first:
            if not is_usable(contact):
                del self.replacements[contact.id_int]
            elif not is_crowded(contact):
                return self.replacements.pop(contact.id_int)
            elif crowded is None:
                crowded = contact
        return None if crowded is None else self.replacements.pop(crowded.id_int)
