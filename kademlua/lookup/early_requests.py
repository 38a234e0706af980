"""Requests that a caller sends in the course of a lookup, and that also serve as its queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from kademlua.core.contact import Contact
from kademlua.core.errors import KademluaError
from kademlua.core.lookup.lookup import Lookup
from kademlua.rpc.call_options import EncodedRequest


class EarlyRequest:
    """A request, and how many round trips its reply may take."""

    __slots__ = ("request", "round_trips")

    def __init__(self, request: EncodedRequest, round_trips: int) -> None:
        self.request = request
        self.round_trips = round_trips


class EarlyRequests(Protocol):
    """What a lookup asks the caller, and what it tells it. No method blocks."""

    def request_for(self, lookup: Lookup, contact: Contact) -> EarlyRequest | None:
        """Return what a contact is sent in place of the query; None for the query."""

    def read_reply(
        self, contact: Contact, result: list[Any] | KademluaError
    ) -> list[Contact] | None:
        """Record the result of such a request, and return the contacts in it.

        None if it has none: then the contact is sent the query.

        Raises:
            WireError: The contacts are malformed.
        """

    def on_progress(
        self, lookup: Lookup, contact: Contact, write_tokens: Mapping[Contact, bytes]
    ) -> None:
        """React to a reply of a contact, after which the lookup continues."""
