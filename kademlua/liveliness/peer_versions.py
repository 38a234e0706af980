"""PeerVersions: which peers speak version 1.0, and how a client shows itself to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.wire.packets import Request
from kademlua.runtime.context import Context

_MAX_V10_PEERS: Final = 4_096
"""Ids, and endpoints, of 1.0 peers that are remembered; the longest unheard of are forgotten."""


class PeerVersions:
    """The ids of peers that speak protocol version 1.0."""

    __slots__ = ("_context", "v10_ids", "v10_peers")

    def __init__(self, context: Context, earlier_peers: Mapping[Endpoint, bytes]) -> None:
        """Prepare; ``earlier_peers`` is ``NodeOptions.v10_peers``."""
        self._context = context
        self.v10_peers = dict(earlier_peers)
        """Ids of 1.0 peers by endpoint, if this node is a client; those that replied, and those
        of an earlier run."""
        self.v10_ids: dict[bytes, None] = dict.fromkeys(earlier_peers.values())
        """Ids of the peers known to speak version 1.0; read-only for callers."""

    def record_request(self, request: Request) -> None:
        """Record the version of a request's sender."""
        if not request.permit.is_validated:  # forged senders must not fill the memory
            return
        node_id = request.sender_id
        # Nor may a sender change the version of a contact at another endpoint.
        if request.sender is not None or self._context.table.get(node_id) is None:
            if request.version:
                self.v10_ids.pop(request.sender_id, None)
            else:
                self.mark_v10(request.sender_id)

    def mark_v10(self, node_id: bytes) -> None:
        """Record that a node speaks protocol version 1.0."""
        self.v10_ids.pop(node_id, None)
        self.v10_ids[node_id] = None
        if len(self.v10_ids) > _MAX_V10_PEERS:
            del self.v10_ids[next(iter(self.v10_ids))]

    def is_v10(self, contact: Contact) -> bool:
        """Return whether a contact is known to speak protocol version 1.0."""
        return contact.id in self.v10_ids

    def alias_for(self, contact: Contact) -> bytes:
        """Return the sender's id that a client uses for a 1.0 contact; empty for the own id.

        The original enters each sender into its routing table, also a client that ends at once.
        It ignores a sender with its own id. Nothing else helps, so the first request to an
        address, whose id is not known yet, enters a table.
        """
        if not self.v10_ids:  # the usual case
            return b""
        return contact.id if self._context.is_client and self.is_v10(contact) else b""

    def is_alias_refused(self, contact: Contact) -> bool:
        """Return whether an empty reply shows that a contact speaks version 1.1, and record it.

        A 1.1 node returns nothing to a sender with its own id.
        """
        if not self.alias_for(contact):
            return False
        del self.v10_ids[contact.id]
        return True

    def alias_at(self, endpoint: Endpoint) -> bytes:
        """Return the alias for an endpoint that spoke version 1.0."""
        return self.v10_peers.get(endpoint, b"") if self._context.is_client else b""

    def is_alias_refused_at(self, endpoint: Endpoint, result: object) -> bool:
        """Return whether a reply shows that an endpoint speaks version 1.1 now, and record it."""
        if result or not self.alias_at(endpoint):
            return False
        self.v10_ids.pop(self.v10_peers.pop(endpoint), None)
        return True

    def record_form(self, contact: Contact, *, is_v10: bool, listed: list[Contact]) -> None:
        """Record in which form a contact listed others.

        A client takes those that a 1.0 peer lists for 1.0 peers, too, until they reply.
        """
        if not is_v10:
            if self.v10_ids:
                self.v10_ids.pop(contact.id, None)
            if self.v10_peers:
                self.v10_peers.pop(contact.endpoint, None)
            return
        self.mark_v10(contact.id)
        if self._context.is_client:
            self.v10_peers[contact.endpoint] = contact.id
            if len(self.v10_peers) > _MAX_V10_PEERS:
                del self.v10_peers[next(iter(self.v10_peers))]
            for each in listed:
                self.mark_v10(each.id)
