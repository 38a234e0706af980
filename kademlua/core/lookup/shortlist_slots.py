"""The slots of one shortlist: one per endpoint, few per subnet."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.diversity import DiversityLimits

_MAX_QUEUED: Final = 8
"""Contacts that wait for one endpoint."""


class Slot(IntEnum):
    """What a contact gets in a shortlist."""

    NONE = 0
    """Its endpoint is taken, or its id does not fit its address."""
    FREE = 1
    CROWDED = 2
    """The slots of its subnet are taken: it is queried only if too few others are live."""


class ShortlistSlots:
    """The slots of one shortlist: one per endpoint, few per subnet.

    Further contacts of an endpoint wait until its holder fails. Otherwise an attacker could hide
    live nodes by naming dead ones.
    """

    __slots__ = ("_count_by_prefix", "_limits", "_queued", "endpoints", "exempts_private")

    def __init__(self, limits: DiversityLimits | None) -> None:
        self._limits = limits
        self.exempts_private = limits is None or not limits.limits_private
        """Whether a private contact needs only a free endpoint."""
        self.endpoints: set[Endpoint] = set()
        """The endpoints with a slot."""
        self._count_by_prefix: dict[bytes, int] = {}
        self._queued: dict[Endpoint, list[Contact]] = {}

    def admit(self, contact: Contact) -> Slot:
        """Give a contact a slot, or let it wait for its endpoint."""
        endpoint, limits = contact.endpoint, self._limits
        if endpoint in self.endpoints:
            queued = self._queued.setdefault(endpoint, [])
            if len(queued) < _MAX_QUEUED and contact not in queued:
                queued.append(contact)
            return Slot.NONE
        if limits is not None and not limits.has_valid_id(contact):
            return Slot.NONE
        self.endpoints.add(endpoint)
        return Slot.FREE if self.take_subnet_slot(contact) else Slot.CROWDED

    def take_subnet_slot(self, contact: Contact) -> bool:
        """Take a slot of a contact's subnet; return False if there is none."""
        limits = self._limits
        if limits is not None and limits.applies_to(contact):
            prefix = contact.diversity_prefix
            count = self._count_by_prefix.get(prefix, 0)
            if count >= limits.per_lookup:
                return False
            self._count_by_prefix[prefix] = count + 1
        return True

    def release(self, contact: Contact, *, is_crowded: bool = False) -> list[Contact]:
        """Free a contact's slot, and return the contacts that waited for its endpoint."""
        self.endpoints.discard(contact.endpoint)
        limits = self._limits
        if limits is not None and limits.applies_to(contact) and not is_crowded:
            self._count_by_prefix[contact.diversity_prefix] -= 1
        return self._queued.pop(contact.endpoint, []) if self._queued else []
