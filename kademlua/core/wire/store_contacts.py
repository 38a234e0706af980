"""The contacts in the reply to a store, which thereby also serves as a findnode."""

from __future__ import annotations

from typing import Any

from kademlua.core.contact import AddressFamilies, Contact, ContactPool
from kademlua.core.wire import replies


def with_contacts(payload: bytes, contacts: list[Contact]) -> bytes:
    """Return the payload of a store reply with contacts as a further return value."""
    return b"%bd%bee" % (payload[:-1], replies.encode_closest(contacts))


def decode_contacts(
    values: list[Any], pool: ContactPool, families: AddressFamilies
) -> list[Contact] | None:
    """Decode the contacts in a store reply; None if the callee sends none.

    Raises:
        WireError: The contacts are malformed.
    """
    if len(values) < 2 or type(values[-1]) is not dict:
        return None
    return replies.decode_findnode_reply(values[-1:], pool, families)
