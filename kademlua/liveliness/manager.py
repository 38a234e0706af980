"""The liveliness manager: what a node knows about which contacts are alive.

Weak liveliness: the contact is in the table and sent a packet within
``Params.freshness_window``. Strong liveliness: it answers a ping now.

The manager keeps the routing table current. Contacts that reply enter it, dead contacts
leave it, and unknown senders are pinged if their k-bucket has a free slot for them
(Maymounkov and Mazières 2002, section 2.2).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.pending_calls import PendingCall
from kademlua.core.routing.bucket import TableEntry
from kademlua.core.routing.recent_contacts import RecentContacts
from kademlua.core.security.validated_addresses import VALIDATION_LIFETIME
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.liveliness.peer_versions import PeerVersions
from kademlua.liveliness.probes import ProbeQueue
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.timeouts import RtoEstimator
from kademlua.runtime.context import Context

MIN_BUCKET_FILL: Final = 4
"""Contacts that a far k-bucket collects from unknown senders; lookups add the others."""
_REVALIDATE_AFTER: Final = 0.95 * VALIDATION_LIFETIME
"""Seconds since its last reply after which a requesting contact is pinged. A request itself
proves nothing, because its source address may be forged."""
_VALIDATED_AT_PEER_FOR: Final = 0.9 * VALIDATION_LIFETIME
"""Seconds since the last proof of its address for which a contact counts this node as validated."""
_STAGGER: Final = 0.05
"""Part of the stale time by which the first of two contacts pings earlier, so that two nodes
do not ping each other at the same time."""
_MAX_DEAD: Final = 256
_MAX_LATE: Final = 256
_MAX_RECOVERED: Final = 8
_LEAVE_TRIES: Final = 2
"""Pings to a contact that announced its departure, until it counts as dead."""


class LivelinessManager:
    """Updates the routing table of one node from packets, timeouts and probes."""

    def __init__(
        self,
        context: Context,
        client: RpcClient,
        validator: AddressValidator,
        v10_peers: Mapping[Endpoint, bytes],
    ) -> None:
        """Prepare; ``v10_peers`` is ``NodeOptions.v10_peers``."""
        self._context = context
        self._validator = validator
        self._gate = client.gate
        self._table = context.table
        self._params = context.params
        self._clock = context.clock
        self.versions = PeerVersions(context, v10_peers)
        self._v10_ids = self.versions.v10_ids
        self.rto_estimator = RtoEstimator(context)
        self.recent_contacts = RecentContacts(context.table, self._params.freshness_window)
        self._probes = ProbeQueue(
            context, client, self.rto_estimator, self._mark_dead, self.versions.alias_for
        )
        self._dead_since: dict[Contact, float] = {}
        """Time of death of the contacts that died last, oldest first."""
        self.late_contacts: dict[Contact, None] = {}
        """Contacts that have not replied since a reply of theirs was late, oldest first; read-only
        for callers."""
        self._recovered: list[Contact] = []
        """Contacts that counted as dead and replied since the last ``drain_recovered``."""

    def close(self) -> None:
        """Stop probing. Callers that wait for a probe get NodeClosed. Idempotent."""
        self._probes.close()

    # Reports from the packet path. These methods never block.

    def on_request(self, request: Request, endpoint: Endpoint, entry: TableEntry | None) -> None:
        """Record a request: refresh its sender, or consider the sender for the table.

        ``entry`` is the sender's, if it is in the table with this endpoint.
        """
        if self._v10_ids or not request.version:
            self.versions.record_request(request)
        if not request.permit.is_validated:
            self._on_unvalidated_request(request, endpoint)
            return
        if entry is not None:
            now = request.received_at
            entry.last_seen = entry.validated_at = now
            # The flag "read only" may be forged; the reply to a ping tells the truth.
            if now - entry.last_replied > _REVALIDATE_AFTER or request.read_only:
                self._probes.add(entry.contact, self._params.probe_tries)
            return
        self._consider_sender(request, endpoint)

    def _on_unvalidated_request(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender, which may be forged, at most once."""
        if request.sender is None:
            self._consider_sender(request, endpoint)
        elif not self._validator.is_validating(request.sender):
            self._probes.add(request.sender, tries=1)

    def _consider_sender(self, request: Request, endpoint: Endpoint) -> None:
        """Ping the sender of a request if the table may admit it."""
        if request.read_only:
            return
        is_wanted = self._table.is_wanted(request.sender_id, MIN_BUCKET_FILL)
        if self._dead_since or is_wanted:
            # Not from the contact pool: unknown senders must not fill it.
            contact = Contact(*endpoint, request.sender_id)
            if self._validator.is_validating(contact):
                return
            if (is_wanted and self._table.can_admit(contact)) or contact in self._dead_since:
                self._probes.add(contact, tries=1, is_authorized=True)

    def on_reply(self, call: PendingCall, payload: bytes, now: float) -> None:
        """Record a reply: its contact is alive and, unless it is a client, may enter the table."""
        contact = call.contact
        assert contact is not None
        if call.name == "ping":
            if payload != replies.PONG and replies.is_client_pong(payload):
                self._exclude_client(contact)
                return
            # A pinged contact may come from outside the pool; its reply proves that it is real.
            contact = call.contact = self._context.pool.from_compact(contact.compact)
        if self._dead_since and contact in self._dead_since:
            del self._dead_since[contact]
            if len(self._recovered) < _MAX_RECOVERED:
                self._recovered.append(contact)
        if call.name == "changed" and self._table.get_contact(contact) is None:
            return  # watchers may be clients; only the reply to a ping tells
        self.late_contacts.pop(contact, None)
        rtt = math.inf if call.late_count else now - call.sent_at
        eviction_candidate = self._table.on_reply(contact, now, rtt)
        entry = self._table.get_contact(contact)
        call.is_in_table = entry is not None
        self.rto_estimator.on_reply(call, entry, now)
        if eviction_candidate is not None and not self.is_fresh(eviction_candidate):
            self._probes.add(eviction_candidate, self._params.probe_tries)

    def _exclude_client(self, client: Contact) -> None:
        """Remove a live client from the routing table."""
        self._dead_since.pop(client, None)
        self.evict(client)

    def evict(self, contact: Contact) -> None:
        """Remove a contact that is a client, or whose endpoint replied under another id."""
        promoted = self._table.remove(contact)
        if promoted is not None:  # its last reply may be old
            self._probes.add(promoted, self._params.probe_tries)

    def on_leave(self, contact: Contact, *, has_handed_over: bool) -> None:
        """Probe a contact that announced its departure.

        The announcement may be forged, so the contact is removed only if it does not reply.
        """
        if contact in self._table and (probe := self._probes.add(contact, _LEAVE_TRIES)):
            probe.has_handed_over = has_handed_over

    def on_late(self, contact: Contact, late_count: int) -> None:
        """Record that the reply to a query is late.

        The second time its retransmission is late, too, and the contact is probed.
        """
        if late_count > 1:
            self.on_timeout(contact)
            return
        self.late_contacts.pop(contact, None)
        if len(self.late_contacts) >= _MAX_LATE:
            del self.late_contacts[next(iter(self.late_contacts))]
        self.late_contacts[contact] = None

    def on_timeout(self, contact: Contact) -> None:
        """Probe a contact after a call to it timed out, unless it has never replied.

        Such a one is not dead: perhaps it never lived, and the outgoing gate spares it for a while.
        """
        self.recent_contacts.remove(contact)
        if self.has_replied(contact) or self._gate.has_replied_before(contact.endpoint):
            self._probes.add(contact, self._params.probe_tries)

    def _mark_dead(self, contact: Contact) -> None:
        self.recent_contacts.remove(contact)
        self._dead_since.pop(contact, None)
        if len(self._dead_since) >= _MAX_DEAD:
            del self._dead_since[next(iter(self._dead_since))]
        self._dead_since[contact] = self._clock()

    # Probes on request.

    def probe(self, contact: Contact) -> None:
        """Queue one ping to a contact; if it replies, it may enter the table."""
        self._probes.add(contact, tries=1)

    def on_pause(self) -> None:
        """Evict no contact for a minute after a pause, unless another one replies."""
        self._probes.on_pause()

    def probe_stale(self, interval: float) -> None:
        """Probe the contacts that were silent longest; to be called every ``interval`` seconds.

        A contact is stale after ``freshness_window`` seconds without a packet. The time falls to
        a fifth if many contacts died recently. The number of probes per call suffices to
        reach the whole table in half of that time.
        """
        now, freshness_window = self._clock(), self._params.freshness_window
        self.recent_contacts.expire(now)
        recent_deaths = sum(now - died < freshness_window for died in self._dead_since.values())
        stale_after = freshness_window / (
            1 + 4 * min(1.0, 4 * recent_deaths / max(len(self._table), 1))
        )
        count = math.ceil(min(1.0, 2 * interval / stale_after) * len(self._table))
        for contact in self._table.stale(now - stale_after, count, _STAGGER * stale_after):
            self._probes.add(contact, self._params.probe_tries)

    def reprobe_dead(self, count: int) -> None:
        """Probe ``count`` random dead contacts, which a network partition may have cut off."""
        dead = list(self._dead_since)
        for contact in self._context.rng.sample(dead, min(count, len(dead))):
            self._probes.add(contact, tries=1)

    def is_alive(self, contact: Contact) -> bool:
        """Return whether a contact answers a ping now (strong liveliness); block until known.

        Raises:
            NodeClosed: The node is closed, or was closed meanwhile.
            TooManyCalls: Too many calls are in flight.
        """
        return self._probes.wait(contact)

    # Knowledge about contacts.

    def drain_recovered(self, minimum: int = 0) -> list[Contact]:
        """Return and forget the contacts that replied after they counted as dead.

        If there are fewer than ``minimum``, return an empty list and keep them.
        """
        if len(self._recovered) < minimum:
            return []
        recovered, self._recovered = self._recovered, []
        return recovered

    def drain_dead(self) -> list[Contact]:
        """Forget the contacts that count as dead; return those that once replied, latest first.

        If all contacts are dead, the fault is probably in the own connection.
        """
        dead = list(reversed(self._dead_since))
        self._dead_since.clear()
        return [each for each in dead if self._gate.has_replied_before(each.endpoint)]

    def is_fresh(self, contact: Contact) -> bool:
        """Return whether a contact is in the table and recently sent a packet (weak liveliness).

        Recently means within ``Params.freshness_window`` seconds.
        """
        if (entry := self._table.get_contact(contact)) is None:
            return False
        return self._clock() - entry.last_seen < self._params.freshness_window

    def is_validated_at(self, contact: Contact) -> bool:
        """Return whether a contact probably holds this node's address as validated."""
        entry, recent = self._table.get_contact(contact), self.recent_contacts
        validated_at = recent.validated_at(contact) if entry is None else entry.validated_at
        return self._clock() - validated_at < _VALIDATED_AT_PEER_FOR

    def on_served(self, contact: Contact) -> None:
        """Record that a contact served a store or remove, for which it validates addresses."""
        if (entry := self._table.get_contact(contact)) is None:
            self.recent_contacts.on_validated(contact, self._clock())
        else:
            entry.validated_at = self._clock()

    def has_replied(self, contact: Contact) -> bool:
        """Return whether this node may send a contact more than a query: see ``OutgoingGate``."""
        return self._gate.has_replied(contact.endpoint, self._clock())

    @property
    def has_dead(self) -> bool:
        """True if any contact is remembered as dead."""
        return bool(self._dead_since)

    def is_dead(self, contact: Contact) -> bool:
        """Return whether a contact died within ``Params.dead_quarantine`` seconds.

        Lookups skip such contacts, which other nodes may still return.
        """
        died_at = self._dead_since.get(contact)
        return died_at is not None and self._clock() - died_at < self._params.dead_quarantine
