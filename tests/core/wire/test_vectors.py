"""The test vectors of packets: the code writes these bytes, and reads them."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua.core.contact import ALL_FAMILIES, Contact, ContactPool
from kademlua.core.errors import WireError
from kademlua.core.watch.snapshot import HeldValue, digest
from kademlua.core.wire import (
    bencoding,
    find_many,
    packets,
    replies,
    requests,
    store_contacts,
    store_many,
    watch_messages,
)
from kademlua.core.wire.packets import Request, Response
from kademlua.core.wire.rpc_table import RPCS
from tests.support.vectors import Vector, contact_of, each, hex_bytes, load, value_of

BENCODING = load("bencoding.json")
CONTACTS = load("contacts.json")
REQUESTS = load("requests.json")
REPLIES = load("replies.json")
RESULTS = [vector for vector in REPLIES if "error" not in vector]


# Bencoding.


@each([vector for vector in BENCODING if "value" in vector])
def test_value(vector: Vector) -> None:
    encoded, value = hex_bytes(vector, "encoded"), value_of(vector["value"])
    assert bencoding.decode(encoded) == value
    assert bencoding.encode(value) == (hex_bytes(vector, "written") or encoded)


@each([vector for vector in BENCODING if "refused" in vector])
def test_refused_bencoding(vector: Vector) -> None:
    with pytest.raises(WireError) as caught:
        bencoding.decode(hex_bytes(vector, "encoded"))
    assert caught.value.reason == vector["refused"]


# Contacts.


def read_listed(vector: Vector) -> list[Any]:
    listed = bencoding.decode(hex_bytes(vector, "listed"))
    return replies.decode_findnode_reply([[listed]], ContactPool(), ALL_FAMILIES)


@each([vector for vector in CONTACTS if "contact" in vector])
def test_contact(vector: Vector) -> None:
    contact = contact_of(vector["contact"])
    assert read_listed(vector) == [contact]
    if "packed" in vector:
        assert contact.compact == hex_bytes(vector, "packed")
        assert contact.encoded_v10 == hex_bytes(vector, "listed")
        assert ContactPool().from_compact(contact.compact) == contact


@each([vector for vector in CONTACTS if "refused" in vector])
def test_refused_contact(vector: Vector) -> None:
    if "packed" in vector:
        with pytest.raises(WireError):
            ContactPool().from_compact(hex_bytes(vector, "packed"))
    else:
        with pytest.raises(WireError):
            read_listed(vector)


# Requests.


def encode_args(name: str, args: list[Any]) -> bytes:
    """Encode the arguments of an RPC by the function that nodes use for it."""
    if name == "findnode":
        return requests.encode_key_args(*args)
    if name == "findvalue" and len(args) > 1:
        return requests.encode_findvalue_args(*args)
    if name == "store" and len(args) > 3:
        return encode_store_args(*args)
    if name == "storemany":
        key, stores, token = args
        encoded = [encode_store_args(*each) for each in stores]
        return requests.encode_store_many_args(key, encoded, token)
    if name == "findmany":
        key, keys, token = args
        return find_many.encode_args(key, find_many.decode_args([key, keys]), token)
    if name == "remove":
        return encode_remove_args(*args)
    if name == "leave":
        return requests.encode_leave_args(is_handed_over=args[0] == 1)
    if name == "lacks":
        key, ids, *cache = args
        # Only the ids of these contacts are sent.
        missing = [Contact("10.0.0.1", 1, ids[at : at + 20]) for at in range(0, len(ids), 20)]
        contacts = [ContactPool().from_compact(compact) for compact in cache]
        return requests.encode_lacks_args(key, missing, *contacts)
    if name == "reach" and args:
        return requests.encode_reach_args(ContactPool().from_compact(args[0]))
    if name == "watch":
        return watch_messages.encode_watch_args(*args)
    if name == "changed":
        key, secret, state = args
        max_bytes = 1_000 if b"values" in state else -1
        encoded = watch_messages.encode_state(key_state(state), NOW, max_bytes)
        return watch_messages.encode_changed_args(key, secret, encoded)
    return requests.encode_any_args(args)


NOW = 1_000.0


def key_state(form: dict[bytes, Any]) -> watch_messages.KeyState:
    """The state of a watched key in a vector, whose digest fits its values."""
    values = None
    if b"values" in form:
        values = [
            HeldValue(
                ContactPool().from_compact(owner), seq, replies.encode_value(value), NOW + ttl
            )
            for owner, seq, ttl, value in form[b"values"]
        ]
        assert digest(values) == form[b"digest"]
    return watch_messages.KeyState(form[b"digest"], values, form[b"lease"])


def encode_store_args(
    key: bytes,
    value: Any,
    overwrite: int,
    token: bytes,
    ttl: int,
    fields: dict[bytes, Any] | None = None,
) -> bytes:
    fields = fields or {}
    owner = fields.get(b"owner")
    return requests.encode_store_args(
        requests.StoreArguments(
            key,
            replies.encode_value(value),
            ttl,
            overwrite=overwrite == 1,
            owner=ContactPool().from_compact(owner) if owner else None,
            cas=fields.get(b"cas"),
            token=token,
            seq=fields.get(b"seq", 0),
            proof=proof_of(fields),
            closest=fields.get(b"closest", 0),
        )
    )


def encode_remove_args(
    key: bytes, ttl: int, token: bytes = b"", fields: dict[bytes, Any] | None = None
) -> bytes:
    fields = fields or {}
    arguments = requests.RemoveArguments(key, ttl, token, fields.get(b"seq", 0), proof_of(fields))
    return requests.encode_remove_args(arguments)


def proof_of(fields: dict[bytes, Any]) -> requests.OwnerProof | None:
    return requests.OwnerProof(fields[b"pk"], fields[b"sig"]) if b"pk" in fields else None


@each(REQUESTS)
def test_request_decodes(vector: Vector) -> None:
    packet = packets.decode(hex_bytes(vector, "packet"))
    assert isinstance(packet, Request)
    assert packet.sender_id == hex_bytes(vector, "sender")
    assert packet.rpc_id == hex_bytes(vector, "rpc_id")
    assert packet.name == vector["rpc"].encode()
    assert packet.args == value_of(vector["args"])
    assert (packet.version, packet.read_only) == (vector["version"], vector["client"])
    # The fast decoder agrees with the general one.
    body = bencoding.decode(hex_bytes(vector, "payload"))
    assert (body[b"name"], body[b"args"]) == (packet.name, packet.args)


@each(REQUESTS)
def test_request_encodes(vector: Vector) -> None:
    name, args = vector["rpc"], value_of(vector["args"])
    if vector["version"]:
        encoded_args = encode_args(name, args)
        payload = packets.encode_request_payload(
            name.encode(), encoded_args, read_only=vector["client"]
        )
    else:  # nodes write no 1.0 requests
        payload = b"d4:name%b4:args%be" % (bencoding.encode(name), bencoding.encode(args))
    assert payload == hex_bytes(vector, "payload")
    datagram = packets.encode_request(
        hex_bytes(vector, "sender"), hex_bytes(vector, "rpc_id"), payload
    )
    padded = hex_bytes(vector, "packet")
    assert padded == datagram.ljust(len(padded), b"\0")


def test_vectors_have_requests_of_every_rpc() -> None:
    assert {vector["rpc"].encode() for vector in REQUESTS} >= RPCS.keys()


# Replies.


def encode_reply(vector: Vector) -> bytes:
    """Encode return values by the function that nodes use for them."""
    rpc, version = vector["rpc"], vector["version"]
    values, token = value_of(vector["values"]), hex_bytes(vector, "token")
    contacts = [contact_of(form) for form in vector.get("contacts", [])]
    if rpc == "findnode" and "refused" not in vector:
        return replies.encode_findnode_reply(contacts, version, token)
    if rpc == "findvalue" and "refused" not in vector:
        found = [replies.encode_value(each) for each in value_of(vector["found"])]
        return replies.encode_findvalue_reply(
            contacts, found, version, token, vector.get("more", 0)
        )
    if rpc == "store":
        reply = FIXED_REPLIES.get(vector["name"], replies.STORE_OK)
        if vector.get("refused"):
            reply = replies.encode_refused_reply(vector["refused"], vector.get("newest_seq", 0))
        return store_contacts.with_contacts(reply, contacts) if contacts else reply
    if rpc == "storemany":
        return store_many.encode_reply([b"l%be" % requests.encode_any_args(v) for v in values[0]])
    if rpc == "findmany":
        more = values[0].get(b"more", [])
        rows = [[replies.encode_value(each) for each in row] for row in values[0][b"retval"]]
        return find_many.encode_reply([None if at in more else row for at, row in enumerate(rows)])
    if rpc == "getsocket":
        return replies.encode_getsocket_reply(vector["address"], vector["port"])
    if rpc == "lacks":
        return replies.encode_lacks_reply(values[0])
    if rpc == "reach":
        return replies.encode_reach_reply(is_attempted=values[0] == 1)
    if rpc == "watch":
        return watch_messages.encode_watch_reply(key_state(values[0]), NOW, 1_000)
    return FIXED_REPLIES.get(vector["name"]) or b"l%be" % requests.encode_any_args(values)


FIXED_REPLIES = {
    "ping": replies.PONG,
    "ping, client": replies.CLIENT_PONG,
    "findnode, no id": replies.BAD_KEY_FINDNODE,
    "findvalue, no key": replies.BAD_KEY_FINDVALUE,
    "store": replies.STORE_OK,
    "store, no key": replies.BAD_KEY_STORE,
    "remove": replies.REMOVE_OK,
    "remove, no value": replies.REMOVE_NOT_FOUND,
    "leave": replies.LEAVE_OK,
    "reached": replies.REACHED_OK,
    "changed": watch_messages.WATCHED,
    "changed, not watched": watch_messages.NOT_WATCHED,
}


@each([vector for vector in RESULTS if not vector.get("only_read")])
def test_reply_encodes(vector: Vector) -> None:
    payload = encode_reply(vector)
    assert payload == hex_bytes(vector, "payload")
    packet = packets.encode_response(
        hex_bytes(vector, "sender"), hex_bytes(vector, "rpc_id"), payload
    )
    assert packet == hex_bytes(vector, "packet")


@each(RESULTS)
def test_reply_decodes(vector: Vector) -> None:
    packet = packets.decode(hex_bytes(vector, "packet"))
    assert isinstance(packet, Response)
    assert packet.sender_id == hex_bytes(vector, "sender")
    assert packet.rpc_id == hex_bytes(vector, "rpc_id")
    assert packet.packet_type == packets.RESPONSE
    assert packet.payload == hex_bytes(vector, "payload")
    is_findvalue = vector["rpc"] == "findvalue"
    decode = packets.decode_findvalue_values if is_findvalue else packets.decode_values
    values = decode(packet.payload)
    assert values == value_of(vector["values"])
    check_meaning(vector, values)


def check_meaning(vector: Vector, values: list[Any]) -> None:
    """Check what the return values mean for a caller."""
    rpc = vector["rpc"]
    if "contacts" in vector:
        contacts = [contact_of(form) for form in vector["contacts"]]
        decode = store_contacts.decode_contacts if rpc == "store" else replies.decode_findnode_reply
        assert decode(values, ContactPool(), ALL_FAMILIES) == contacts
        assert replies.decode_token(values) == hex_bytes(vector, "token")
    if "found" in vector:
        assert replies.decode_retval(values) == value_of(vector["found"])
        assert replies.decode_remaining(values) == vector.get("more", 0)
    if rpc == "getsocket":
        seen = replies.decode_getsocket_reply(values)
        assert seen == (vector["address"], vector["port"])
    if rpc == "store":
        refusal = None
        if values[0] == 0:
            reason = vector.get("refused") or "refused without a reason"
            refusal = replies.Refusal(reason, vector.get("newest_seq", 0))
        assert replies.decode_store_reply(values) == refusal
    if rpc == "findmany":
        rows = list(values[0][b"retval"])
        for index in values[0].get(b"more", []):
            rows[index] = None
        assert find_many.decode_reply(values, 3) == rows
    if rpc == "storemany":
        assert store_many.decode_reply(values, 2) == [None, replies.Refusal("is leaving")]
    if rpc == "reach":
        assert replies.decode_reach_reply(values) == (values == [1])
    if rpc == "watch":
        state = watch_messages.decode_watch_reply(values, ContactPool(), NOW)
        expected = key_state(values[0])
        assert (state.digest, state.lease_seconds) == (expected.digest, expected.lease_seconds)
        assert (state.values is None) == (expected.values is None)
        assert digest(state.values or []) == digest(expected.values or [])
    if rpc == "ping":
        assert replies.is_client_pong(hex_bytes(vector, "payload")) == vector.get("client", False)


@each([vector for vector in REPLIES if "error" in vector])
def test_error(vector: Vector) -> None:
    sender, rpc_id, code = hex_bytes(vector, "sender"), hex_bytes(vector, "rpc_id"), vector["error"]
    assert packets.encode_error(sender, rpc_id, code) == hex_bytes(vector, "packet")
    packet = packets.decode(hex_bytes(vector, "packet"))
    assert isinstance(packet, Response)
    assert (packet.sender_id, packet.rpc_id, packet.packet_type) == (sender, rpc_id, code)


def test_vectors_have_replies_of_every_rpc() -> None:
    assert {vector["rpc"].encode() for vector in RESULTS} >= RPCS.keys()
