"""The slots of one shortlist: one per endpoint, few per subnet."""

from __future__ import annotations

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.diversity import DiversityLimits

_MAX_QUEUED = 8
"""Contacts that wait for one slot."""


class ShortlistSlots:
    """The slots of one shortlist: one per endpoint, few per subnet.

    Further contacts wait until a holder of a slot fails. Otherwise an attacker could hide live
    nodes by naming dead ones.
    """

    __slots__ = ("_count_by_prefix", "_limits", "_queued", "endpoints", "exempts_private")

    def __init__(self, limits: DiversityLimits | None) -> None:
        self._limits = limits
        self.exempts_private = limits is None or not limits.limits_private
        """Whether a private contact needs only a free endpoint."""
        self.endpoints: set[Endpoint] = set()
        """The endpoints with a slot."""
        self._count_by_prefix: dict[bytes, int] = {}
        self._queued: dict[bytes | Endpoint, list[Contact]] = {}

    def admit(self, contact: Contact) -> bool:
        """Give a contact a slot and return True, or let it wait and return False."""
        endpoint, limits = contact.endpoint, self._limits
        if endpoint in self.endpoints:
            self._enqueue(endpoint, contact)
            return False
        if limits is not None and limits.applies_to(contact):
            prefix = contact.diversity_prefix
            if not limits.has_valid_id(contact):
                return False
            count = self._count_by_prefix.get(prefix, 0)
            if count >= limits.per_lookup:
                self._enqueue(prefix, contact)
                return False
            self._count_by_prefix[prefix] = count + 1
        self.endpoints.add(endpoint)
        return True

    def release(self, contact: Contact) -> list[Contact]:
        """Free a contact's slot, and return the contacts that waited for it."""
        self.endpoints.discard(contact.endpoint)
        prefix, limits = contact.diversity_prefix, self._limits
        if limits is not None and limits.applies_to(contact):
            self._count_by_prefix[prefix] -= 1
        queued = self._queued
        return queued.pop(contact.endpoint, []) + queued.pop(prefix, []) if queued else []

    def _enqueue(self, slot: bytes | Endpoint, contact: Contact) -> None:
        queued = self._queued.setdefault(slot, [])
        if len(queued) < _MAX_QUEUED and contact not in queued:
            queued.append(contact)
