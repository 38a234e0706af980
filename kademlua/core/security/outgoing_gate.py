"""The outgoing gate: whether a request may be sent to an endpoint, and of which size.

Any peer can name addresses in a reply. An endpoint that has not replied to this node may belong to
a host that never asked for its packets, so it gets one small query and one retransmission in a
minute, whichever peers name it, and no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from kademlua.core.address_scope import AddressScope
from kademlua.core.contact import Contact, Endpoint
from kademlua.core.routing.table import RoutingTable
from kademlua.core.security.queried_endpoints import (
    QUERY_INTERVAL,
    SKIP_SECONDS,
    Queried,
    QueriedEndpoints,
)
from kademlua.core.security.subnets import scope_of_text
from kademlua.core.security.validated_addresses import ValidatedAddresses

MAX_QUERY_BYTES: Final = 300
"""Size of a request to an endpoint that has not replied; without the tag of a private network."""
_MAX_DATAGRAMS: Final = 2
_MAX_SILENT: Final = 1_024
"""Endpoints that replied once and are silent now; the oldest is forgotten."""


class Verdict(Enum):
    """What becomes of a request."""

    SEND = "send"
    QUERY_FIRST = "query first"
    """It waits for the reply to a small query, which has to be sent."""
    WAIT = "wait"
    """It waits for the reply to a query in flight."""
    REFUSE = "refuse"


_SEND: Final = Verdict.SEND  # members of an enum are read slowly


class OutgoingGate:
    """What one node may send to which endpoint."""

    __slots__ = ("_queried", "_scope", "_silent", "_table", "_validated")

    def __init__(self, table: RoutingTable, validated: ValidatedAddresses, local_addr: str) -> None:
        """Prepare; ``local_addr`` is the address to which the node is bound."""
        self._table = table
        self._validated = validated
        scope = scope_of_text(local_addr)
        self._scope: AddressScope = AddressScope.PUBLIC if scope is AddressScope.UNUSABLE else scope
        """The smallest scope in which this node has peers: it sends to no smaller one."""
        self._queried = QueriedEndpoints()
        self._silent: dict[Endpoint, None] = {}

    def __len__(self) -> int:
        """Return the number of endpoints that are remembered."""
        return len(self._queried) + len(self._silent)

    # Who may name which addresses

    def select_named(self, namer: Endpoint, contacts: Iterable[Contact]) -> list[Contact]:
        """Return those of the contacts in a reply of ``namer`` that it may name.

        A peer names addresses of its own scope and of greater ones: one on the internet names no
        private address, and a private one no loopback address.
        """
        scope = scope_of_text(namer[0])
        if scope > self._scope:
            self._scope = scope
        limit = int(scope)  # plain integers are compared faster
        return [contact for contact in contacts if contact.scope <= limit]

    def may_name(self, namer: Endpoint, contact: Contact) -> bool:
        """Return whether the sender of a request may name a contact."""
        return contact.scope <= scope_of_text(namer[0])

    def configure(self, endpoints: Iterable[Endpoint]) -> None:
        """Permit the scope of endpoints that the program or its operator named."""
        for addr, _ in endpoints:
            scope = scope_of_text(addr)
            if self._scope < scope < AddressScope.UNUSABLE:
                self._scope = scope

    # What may be sent

    def judge(
        self,
        endpoint: Endpoint,
        now: float,
        deadline: float,
        *,
        is_query: bool,
        is_authorized: bool,
    ) -> Verdict:
        """Decide about a request, and remember it if it is sent.

        Args:
            deadline: When the request fails.
            is_query: Whether it is small and contains no value.
            is_authorized: Whether the endpoint is configured, or has caused the request by one of
                its own; then it may be queried at any time.
        """
        if (is_query or not self._silent) and self._table.get_by_endpoint(endpoint) is not None:
            return _SEND  # the usual case
        if self.has_replied(endpoint, now):
            if is_query or endpoint not in self._silent:
                return _SEND
        elif not self._is_addressable(endpoint, is_authorized=is_authorized):
            return Verdict.REFUSE
        if is_query and is_authorized:
            return Verdict.SEND
        queried = self._recently_queried(endpoint, now)
        count = 0 if queried is None else queried.datagram_count
        if queried is None:
            if not self._queried.make_room_for(endpoint, now):
                return Verdict.REFUSE
        elif now < queried.awaited_until:
            return Verdict.WAIT
        elif count >= _MAX_DATAGRAMS and not is_authorized:
            return Verdict.REFUSE
        self._queried.record_query(endpoint, Queried(now, count + 1, deadline))
        return Verdict.SEND if is_query else Verdict.QUERY_FIRST

    def may_retransmit(self, endpoint: Endpoint, now: float) -> bool:
        """Return whether a request may be sent once more; count it."""
        queried = self._queried.get(endpoint) if self._queried else None
        if queried is None or self.has_replied(endpoint, now):
            return True
        if queried.datagram_count >= _MAX_DATAGRAMS:
            return False
        self._queried.record_retransmission(queried)
        return True

    def has_replied(self, endpoint: Endpoint, now: float) -> bool:
        """Return whether an endpoint is a contact, or replied recently and is not silent since."""
        if self._table.get_by_endpoint(endpoint) is not None:
            return True
        return endpoint not in self._silent and self._validated.is_validated(endpoint, now)

    def has_replied_before(self, endpoint: Endpoint) -> bool:
        """Return whether an endpoint replied earlier and is silent now."""
        return endpoint in self._silent

    def without_silent(self, contacts: list[Contact], now: float) -> list[Contact]:
        """Return the contacts without those that lookups skip because they did not reply."""
        if not self._queried.has_repeated:  # the usual case
            return contacts
        return [each for each in contacts if not self._is_exhausted(each.endpoint, now)]

    def on_reply(self, endpoint: Endpoint) -> bool:
        """Record that an endpoint replied; return whether requests to it may have waited."""
        if self._silent:
            self._silent.pop(endpoint, None)
        return bool(self._queried) and self._queried.forget(endpoint)

    def on_timeout(self, endpoint: Endpoint, now: float) -> None:
        """Record that an endpoint did not reply: it gets no value until it does."""
        if endpoint in self._silent or not self.has_replied(endpoint, now):
            return
        if len(self._silent) >= _MAX_SILENT:
            del self._silent[next(iter(self._silent))]
        self._silent[endpoint] = None

    def _is_addressable(self, endpoint: Endpoint, *, is_authorized: bool) -> bool:
        addr, port = endpoint
        scope = scope_of_text(addr)
        if scope is AddressScope.UNUSABLE or not 0 < port < 65_536:
            return False
        return is_authorized or scope <= self._scope

    def _is_exhausted(self, endpoint: Endpoint, now: float) -> bool:
        queried = self._queried.get(endpoint)
        if queried is None:
            return False
        is_recent = now - queried.queried_at < SKIP_SECONDS
        return (
            is_recent and queried.datagram_count >= _MAX_DATAGRAMS and now >= queried.awaited_until
        )

    def _recently_queried(self, endpoint: Endpoint, now: float) -> Queried | None:
        queried = self._queried.get(endpoint)
        if queried is None or now - queried.queried_at < QUERY_INTERVAL:
            return queried
        self._queried.forget(endpoint)
        return None
