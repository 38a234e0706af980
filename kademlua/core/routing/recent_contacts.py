"""RecentContacts: what the lookups of a node share."""

from __future__ import annotations

import math
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.routing.contact_index import ContactIndex
from kademlua.core.routing.diversity import IdDensity
from kademlua.core.routing.table import RoutingTable

_MAX_CONTACTS: Final = 1_024
"""Beyond that, the one that was silent longest is forgotten."""


class RecentContacts:
    """Contacts outside the routing table that replied to an operation some minutes ago at most.

    Lookups start with those near their target. So operations on near keys, one after another or at
    the same time, meet each contact once.
    """

    __slots__ = ("_index", "_lifetime", "_replied_at", "_table", "_validated_at")

    def __init__(self, table: RoutingTable, lifetime: float) -> None:
        """Prepare; a contact is forgotten ``lifetime`` seconds after its last reply."""
        self._table = table
        self._lifetime = lifetime
        self._index = ContactIndex()
        self._replied_at: dict[Contact, float] = {}
        """The one that was silent longest comes first."""
        self._validated_at: dict[Contact, float] = {}

    def __len__(self) -> int:
        return len(self._replied_at)

    def on_reply(self, contact: Contact, now: float) -> None:
        """Remember a contact that replied."""
        if self._table.get_contact(contact) is not None:
            return
        self._replied_at.pop(contact, None)
        if len(self._replied_at) >= _MAX_CONTACTS:
            self.remove(next(iter(self._replied_at)))
        self._replied_at[contact] = now
        self._index.add(contact)

    def on_validated(self, contact: Contact, now: float) -> None:
        """Record that a remembered contact has validated the address of this node."""
        if contact in self._replied_at:
            self._validated_at[contact] = now

    def validated_at(self, contact: Contact) -> float:
        """Return when a contact validated the address of this node; minus infinity for never."""
        return self._validated_at.get(contact, -math.inf) if self._validated_at else -math.inf

    def remove(self, contact: Contact) -> None:
        """Forget a contact that does not reply."""
        if self._replied_at.pop(contact, None) is not None:
            self._validated_at.pop(contact, None)
            self._index.remove(contact)

    def nearest(self, target: int, count: int, now: float) -> list[Contact]:
        """Return the contacts closest to a target, nearest first, up to ``count``."""
        self.expire(now)
        return self._index.nearest(target, count)

    def added_to(
        self, closest: list[Contact], target: int, k: int, density: IdDensity, now: float
    ) -> list[Contact]:
        """Return contacts of the table and as many recent ones (at least k), nearest first.

        Return only the former if the k nearest would be a cluster: Sybils met once would start all
        later lookups near them.
        """
        recent = self.nearest(target, max(k, len(closest)), now)
        by_distance = {each.id_int ^ target: each for each in (*recent, *closest)}
        distances = sorted(by_distance)
        if density.is_cluster(distances, k):
            return closest
        return [by_distance[distance] for distance in distances]

    def expire(self, now: float) -> None:
        """Forget the contacts whose last reply is too long ago."""
        replied_at = self._replied_at
        while replied_at:
            oldest = next(iter(replied_at))
            if replied_at[oldest] >= now - self._lifetime:
                break
            self.remove(oldest)
