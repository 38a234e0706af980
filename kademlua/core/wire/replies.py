"""Replies: the return values of each RPC, encoded and decoded, in versions 1.0 and 1.1.

Decoders take decoded return values, and raise WireError if these do not have the form of the
RPC.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from kademlua.core.contact import (
    COMPACT_V4_BYTES,
    COMPACT_V6_BYTES,
    AddressFamilies,
    Contact,
    ContactPool,
    encode_v10_contacts,
)
from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES
from kademlua.core.reasons import DropReason
from kademlua.core.text import escape_unprintable
from kademlua.core.values.sequence import MAX_SEQUENCE
from kademlua.core.wire import bencoding

PONG: Final = b"li5ee"
CLIENT_PONG: Final = b"li5ed2:roi1eee"
"""A client's reply to a 1.1 ping."""
REACHED_OK: Final = b"le"
STORE_OK: Final = b"li1ee"
REMOVE_OK: Final = b"li1ee"
REMOVE_NOT_FOUND: Final = b"li0ee"
LEAVE_OK: Final = b"le"
BAD_KEY_FINDNODE: Final = b"li0ee"
BAD_KEY_FINDVALUE: Final = b"llee"
BAD_KEY_STORE: Final = b"li0ee"

REASON_REMOVED: Final = "removed by its owner"
"""Refusal of a transferred value that its owner has removed."""
REASON_NO_VALUE: Final = "has no value of this node"
"""What a remove reports of a node that had nothing to remove."""
REASON_LEAVING: Final = "is leaving"
"""Refusal of a node that is shutting down."""

MAX_CONTACTS: Final = 64
"""Contacts read from one reply; an honest one has no more."""
MAX_TOKEN_BYTES: Final = 64
"""Size of another node's write token."""


def encode_value(value: Any) -> bytes:
    """Encode a value; TypeError if it has no bencoded form or more than 61 levels."""
    if type(value) is bytes:  # the usual case
        return b"%d:%b" % (len(value), value)
    return bencoding.encode(value, outer_depth=3)  # the levels around it in a findvalue reply


def decode_value(encoded: bytes) -> Any:
    """Decode what ``encode_value`` returned."""
    return bencoding.decode(encoded)


def encode_findnode_reply(contacts: list[Contact], version: int, token: bytes = b"") -> bytes:
    """Encode the return value of findnode for a caller's version."""
    if version == 0:
        return b"l%be" % encode_v10_contacts(contacts)
    return b"ld%b%bee" % (encode_closest(contacts), _encode_token(token))


def encode_findvalue_reply(
    contacts: list[Contact],
    values: list[bytes],
    version: int,
    token: bytes = b"",
    remaining: int = 0,
) -> bytes:
    """Encode the return value of findvalue.

    ``values`` are bencoded; ``remaining`` is the number of values that did not fit.
    """
    if version == 0:
        retval_field = b"6:retvall%be" % b"".join(values) if values else b""
        return b"ld7:closest%b%bee" % (encode_v10_contacts(contacts), retval_field)
    if not values:
        return b"ld%b%bee" % (encode_closest(contacts), _encode_token(token))
    remaining_field = b"4:morei%de" % remaining if remaining else b""
    retval = b"".join(values)
    return b"ld%b%b6:retvall%be%bee" % (
        encode_closest(contacts),
        remaining_field,
        retval,
        _encode_token(token),
    )


def _encode_token(token: bytes) -> bytes:
    return b"5:token%d:%b" % (len(token), token) if token else b""


FINDVALUE_OVERHEAD_BYTES: Final = 96
"""Bytes of a findvalue reply around its contacts and values, at most."""


def encoded_size(contacts: list[Contact], version: int) -> int:
    """Return the size of contacts in a reply of a version."""
    if version:
        return sum([len(contact.compact) for contact in contacts])
    return sum([len(contact.encoded_v10) for contact in contacts])


def take_fitting(contacts: list[Contact], version: int, max_bytes: int) -> list[Contact]:
    """Return the first contacts, as many as fit ``max_bytes`` in a reply."""
    for count, contact in enumerate(contacts):
        max_bytes -= len(contact.compact) if version else len(contact.encoded_v10)
        if max_bytes < 0:
            return contacts[:count]
    return contacts


def encode_refused_reply(reason: str, newest_seq: int = 0) -> bytes:
    """Encode the return values of a refused store: 0, and the reason, which 1.0 ignores.

    ``newest_seq`` is the sequence number of the owner's newer value, if that is the reason.
    """
    text = reason.encode()
    seq_field = b"i%de" % newest_seq if newest_seq else b""
    return b"li0e%d:%b%be" % (len(text), text, seq_field)


def encode_lacks_reply(count: int) -> bytes:
    """Encode the return value of lacks: the number of nodes that will get the values."""
    return b"li%dee" % count


def encode_reach_reply(*, is_attempted: bool) -> bytes:
    """Encode the return value of reach: whether a dial-back is attempted."""
    return b"li%dee" % is_attempted


def encode_getsocket_reply(addr: str, port: int) -> bytes:
    """Encode the return value of getsocket."""
    text = addr.encode()
    return b"ld4:addr%d:%b4:porti%deee" % (len(text), text, port)


def encode_closest(contacts: list[Contact]) -> bytes:
    """Encode the entries of a 1.1 dictionary that list contacts."""
    joined = b"".join([contact.compact for contact in contacts])
    if len(joined) == COMPACT_V4_BYTES * len(contacts):  # the usual case: all are IPv4
        return b"7:closest%d:%b" % (len(joined), joined)
    v4 = b"".join([c.compact for c in contacts if len(c.compact) == COMPACT_V4_BYTES])
    v6 = b"".join([c.compact for c in contacts if len(c.compact) == COMPACT_V6_BYTES])
    return b"7:closest%d:%b8:closest6%d:%b" % (len(v4), v4, len(v6), v6)


def decode_findnode_reply(
    values: list[Any], pool: ContactPool, families: AddressFamilies
) -> list[Contact]:
    """Decode the contacts in a findnode or findvalue reply of either version."""
    first = values[0] if values else None
    if type(first) is dict:
        return _decode_closest(first, pool, families)
    if type(first) is list:
        return _decode_v10_contacts(first, pool, families)
    raise WireError(DropReason.BAD_RESPONSE)


def is_v10_form(values: list[Any]) -> bool:
    """Return whether a findnode or findvalue reply lists its contacts as version 1.0 does."""
    first = values[0] if values else None
    return type(first) is list or (type(first) is dict and type(first.get(b"closest")) is list)


def decode_retval(values: list[Any]) -> list[Any]:
    """Decode the values in a findvalue reply; ``decode_findnode_reply`` decodes its contacts."""
    first = values[0] if values else None
    if type(first) is dict:
        found = first.get(b"retval", [])
        if type(found) is list:
            return found
    raise WireError(DropReason.BAD_RESPONSE)


def decode_remaining(values: list[Any]) -> int:
    """Return how many values follow those in a findvalue reply."""
    remaining = values[0].get(b"more", 0)
    return remaining if type(remaining) is int and remaining > 0 else 0


def decode_token(values: list[Any]) -> bytes:
    """Return the write token in a reply; empty if there is none."""
    first = values[0] if values else None
    token = first.get(b"token", b"") if type(first) is dict else b""
    return token if type(token) is bytes and len(token) <= MAX_TOKEN_BYTES else b""


class Refusal(NamedTuple):
    """Why a holder did not store or remove a value."""

    reason: str
    newest_seq: int = 0
    """The sequence number of the owner's newer value at the holder; 0 if there is none."""


def decode_store_reply(values: list[Any]) -> Refusal | None:
    """Return None if the value was stored, else why not."""
    return _decode_write_reply(values, "refused without a reason")


def decode_remove_reply(values: list[Any]) -> Refusal | None:
    """Return None if a value was removed, else why not."""
    return _decode_write_reply(values, REASON_NO_VALUE)


def _decode_write_reply(values: list[Any], default_reason: str) -> Refusal | None:
    if not values or type(values[0]) is not int:
        raise WireError(DropReason.BAD_RESPONSE)
    if values[0] == 1:
        return None
    if len(values) == 1 or type(values[1]) is not bytes:
        return Refusal(default_reason)
    seq = values[2] if len(values) > 2 else 0
    is_valid = type(seq) is int and 0 <= seq <= MAX_SEQUENCE
    reason = escape_unprintable(values[1][:200].decode(errors="replace"))[:200]
    return Refusal(reason, seq if is_valid else 0)


def decode_reach_reply(values: list[Any]) -> bool:
    """Return whether the callee attempts a dial-back."""
    return bool(values) and values[0] == 1


def is_client_pong(payload: bytes) -> bool:
    """Return whether the payload of a pong comes from a client."""
    if payload in (PONG, CLIENT_PONG):
        return payload == CLIENT_PONG
    if len(payload) > bencoding.SHORT_BYTES:  # not worth the time
        return False
    try:
        values = bencoding.decode(payload)
    except WireError:
        return False
    extras = values[1] if type(values) is list and len(values) > 1 else None
    return type(extras) is dict and extras.get(b"ro") == 1


def decode_contact(compact: Any, pool: ContactPool) -> Contact:
    """Decode a single compact contact."""
    if type(compact) is not bytes:
        raise WireError(DropReason.BAD_CONTACT)
    return pool.find_compact(compact)


def decode_getsocket_reply(values: list[Any]) -> tuple[str, int]:
    """Decode this node's address and port as the peer sees them; the text is not validated."""
    first = values[0] if values else None
    if type(first) is dict:
        addr, port = first.get(b"addr"), first.get(b"port")
        if type(addr) is bytes and type(port) is int and len(addr) <= 64 and 0 < port < 65536:
            return addr.decode(errors="replace"), port
    raise WireError(DropReason.BAD_RESPONSE)


def _decode_closest(
    reply: dict[bytes, Any], pool: ContactPool, families: AddressFamilies
) -> list[Contact]:
    closest = reply.get(b"closest", b"")
    if type(closest) is list:
        return _decode_v10_contacts(closest, pool, families)
    contacts: list[Contact] = []
    for compact, size, is_supported in (
        (closest, COMPACT_V4_BYTES, families.ipv4),
        (reply.get(b"closest6", b""), COMPACT_V6_BYTES, families.ipv6),
    ):
        if type(compact) is not bytes:
            raise WireError(DropReason.BAD_RESPONSE)
        if compact and is_supported:
            contacts += pool.from_compact_list(compact[: MAX_CONTACTS * size], size)
    return contacts


def _decode_v10_contacts(
    listed: list[Any], pool: ContactPool, families: AddressFamilies
) -> list[Contact]:
    contacts = []
    for item in listed[:MAX_CONTACTS]:
        if type(item) is not list or len(item) < 3:
            raise WireError(DropReason.BAD_CONTACT)
        addr, port, node_id = item[:3]
        if type(addr) is not bytes or type(port) is not int or type(node_id) is not bytes:
            raise WireError(DropReason.BAD_CONTACT)
        if len(addr) > 64 or len(node_id) != ID_BYTES:
            raise WireError(DropReason.BAD_CONTACT)
        try:
            contact = pool.intern(addr.decode("ascii"), port, node_id)
        except ValueError:  # UnicodeDecodeError is one too
            raise WireError(DropReason.BAD_CONTACT) from None
        if families.supports(is_ipv6=contact.is_ipv6):
            contacts.append(contact)
    return contacts
