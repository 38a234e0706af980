"""Early stores: an add stores its value while the lookup of the replicas continues.

The density of ids tells how near a contact must be to be a replica almost certainly. Such a
contact gets the value instead of a query, because its reply names contacts too; or after it has
replied to a query. What libp2p calls an optimistic provide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError
from kademlua.core.ids import to_int
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.wire import store_contacts
from kademlua.liveliness.manager import LivelinessManager
from kademlua.lookup.early_requests import EarlyRequest
from kademlua.runtime.context import Context
from kademlua.values.fan_out import EncodeFor, FanOut


class EarlyStores:
    """The early stores of one add, whose results its ``FanOut`` records."""

    def __init__(
        self,
        context: Context,
        liveliness: LivelinessManager,
        fan_out: FanOut,
        key: bytes,
        encode_query: EncodeFor,
        query_count: int,
    ) -> None:
        """Prepare; ``encode_query`` encodes a store that asks for contacts.

        The ``query_count`` nearest contacts are asked, since they know the others.
        """
        density = context.table.density
        assert density is not None
        self._context = context
        self._liveliness = liveliness
        self._fan_out = fan_out
        self._target = to_int(key)
        self._encode_query = encode_query
        self._query_count = query_count
        self._asked: set[Contact] = set()
        """Contacts that got a store that asks for contacts."""
        self._certain_distance = density.max_replica_distance(context.params.replicas)
        self._has_converged = False
        """Whether the lookup had converged at the last reply."""
        self._awaits_contacts = False
        """Whether one of the first contacts gets a store, to which it replies immediately."""
        self._local_distance = (
            (1 << 160) if context.is_client else to_int(context.id) ^ self._target
        )

    def first_concurrency(self, nearest: list[Contact]) -> int:
        """Return how many of the nearest contacts the lookup queries first: the certain replicas,
        if there are any.

        These name the other replicas. Contacts farther away would cost a query each.
        """
        alpha = self._context.params.alpha
        certain = [each for each in nearest[:alpha] if self._is_certain(each)]
        self._awaits_contacts = any(map(self._liveliness.is_validated_at, certain))
        return len(certain) or alpha

    def request_for(self, lookup: Lookup, contact: Contact) -> EarlyRequest | None:
        """Return a store if a contact is probably a replica, and may get a value now."""
        if self._fan_out.has_sent(contact) or not self._is_replica(lookup, contact):
            return None
        liveliness = self._liveliness
        if not liveliness.has_replied(contact):
            return None
        is_validated = liveliness.is_validated_at(contact)
        # Otherwise it replies after a ping to this node. A query returns contacts sooner.
        if not is_validated and not lookup.has_converged and not self._awaits_contacts:
            return None
        self._fan_out.record_early(contact)
        if lookup.is_among_closest(contact, self._query_count):
            self._asked.add(contact)
            request = self._encode_query(contact, b"")
        else:
            request = self._fan_out.encode_for(contact, b"")
        return EarlyRequest(request, 1 if is_validated else 2)

    def read_reply(
        self, contact: Contact, result: list[Any] | KademluaError
    ) -> list[Contact] | None:
        """Record the reply to a store; return its contacts, or None if they are missing."""
        self._fan_out.record_early(contact, result)
        if isinstance(result, KademluaError):
            return None
        if contact not in self._asked:
            return []
        context = self._context
        return store_contacts.decode_contacts(result, context.pool, context.address_families)

    def on_progress(
        self, lookup: Lookup, contact: Contact, write_tokens: Mapping[Contact, bytes]
    ) -> None:
        """Store at a contact that has replied if it is probably a replica.

        When the lookup converges, this is decided again for those that replied before.
        """
        converges = lookup.has_converged and not self._has_converged
        self._has_converged = lookup.has_converged
        for each in lookup.closest() if converges else [contact]:
            token = write_tokens.get(each, b"")
            if (
                not self._fan_out.has_sent(each)
                and (token or self._liveliness.is_validated_at(each))
                and self._is_replica(lookup, each)
            ):
                self._fan_out.send_early(each, token)

    def _is_replica(self, lookup: Lookup, contact: Contact) -> bool:
        """Return whether a contact is probably a replica, and speaks 1.1."""
        if self._liveliness.versions.is_v10(contact):
            return False
        distance = contact.id_int ^ self._target
        replicas = self._context.params.replicas - (self._local_distance < distance)
        is_likely = lookup.has_converged or self._is_certain(contact)
        return is_likely and lookup.is_among_closest(contact, replicas)

    def _is_certain(self, contact: Contact) -> bool:
        return contact.id_int ^ self._target <= self._certain_distance
