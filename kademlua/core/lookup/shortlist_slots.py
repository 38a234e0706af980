"""The slots of one shortlist: one per endpoint, few per subnet."""

from __future__ import annotations

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.diversity import CrowdLimits

_WAITING = 8
"""Contacts that wait for one place."""


class Places:
    """The places in one shortlist: one of each endpoint, few of each network.

    Others wait until a holder is found dead: it shall not help a liar to tell of dead ones
    where those live that it wants to hide.
    """

    __slots__ = ("_limits", "_networks", "_waiting", "endpoints", "exempts_private")

    def __init__(self, limits: CrowdLimits | None) -> None:
        self._limits = limits
        self.exempts_private = limits is None or not limits.counts_private
        """Whether a private contact has a place wherever its endpoint has."""
        self.endpoints: set[Endpoint] = set()
        """Those that have a place."""
        self._networks: dict[bytes, int] = {}
        self._waiting: dict[bytes | Endpoint, list[Contact]] = {}

    def take(self, contact: Contact) -> bool:
        """Whether a contact gets a place; where it does not, it waits."""
        endpoint, limits = contact.endpoint, self._limits
        if endpoint in self.endpoints:
            self._wait(endpoint, contact)
            return False
        if limits is not None and limits.concerns(contact):
            network = contact.network
            if not limits.is_bound(contact):
                return False
            count = self._networks.get(network, 0)
            if count >= limits.lookup:
                self._wait(network, contact)
                return False
            self._networks[network] = count + 1
        self.endpoints.add(endpoint)
        return True

    def give_up(self, contact: Contact) -> list[Contact]:
        """Give the place of one who had one to others: those who waited for it."""
        self.endpoints.discard(contact.endpoint)
        network, limits = contact.network, self._limits
        if limits is not None and limits.concerns(contact):
            self._networks[network] -= 1
        waiting = self._waiting
        return waiting.pop(contact.endpoint, []) + waiting.pop(network, []) if waiting else []

    def _wait(self, place: bytes | Endpoint, contact: Contact) -> None:
        waiting = self._waiting.setdefault(place, [])
        if len(waiting) < _WAITING and contact not in waiting:
            waiting.append(contact)
