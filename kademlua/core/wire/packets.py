"""Packets: the 32-byte header, requests and responses.

Header in network byte order: version (1) · sender id (20) · rpc id (8) · type (1) · payload length
(2). See ``docs/protocol.md``. Payloads are in ``requests`` and ``replies``. Any bytes either
decode or raise WireError.
"""

from __future__ import annotations

import struct
from typing import Any

from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES
from kademlua.core.reasons import DropReason
from kademlua.core.wire import bencoding, fast_decode

VERSION = 1
"""The version in the header."""
MINOR_VERSION = 1
"""The version that requests of this implementation announce in ``v``."""

REQUEST = 1
RESPONSE = 129
NO_SUCH_RPC = 130
RPC_RAISED = 131
CHALLENGE = 132
"""In a private network: the request needs a ticket. Only ``PrivateTransport`` handles it."""

RPC_ID_BYTES = 8
_HEADER = struct.Struct("!B20s8sBH")
_V10_STORE = b"d4:name5:store4:argsl20:"
"""The start of a store request of the original, before its key."""
MAX_REQUEST_TOKENS = 512
"""Tokens in a request of more than 1,200 bytes (``bencoding.decode``)."""
MAX_REPLY_TOKENS = 768
"""Tokens in a reply of more than 1,200 bytes. The original returns up to 65,475 bytes of values."""
_FINDVALUE_LEVELS = 3
"""Levels around the values in a findvalue reply: the return values, the dictionary, the list."""
MAX_PAYLOAD_BYTES = 65_507 - _HEADER.size
"""The payload of the largest UDP datagram on IPv4: 65,475 bytes."""
MAX_DATAGRAM = MAX_PAYLOAD_BYTES + _HEADER.size
_ERROR_HEADER = struct.Struct("!B20s8sB")
HEADER_BYTES = _HEADER.size
MIN_PACKET_BYTES = _ERROR_HEADER.size
"""The size of an error response, which ends with the type."""
TYPE_OFFSET = MIN_PACKET_BYTES - 1
"""The offset of the type."""
RPC_ID_OFFSET = TYPE_OFFSET - RPC_ID_BYTES


class Request:
    """A request: its sender, rpc id, RPC and arguments."""

    __slots__ = (
        "args", "is_validated", "name", "read_only", "reply_budget", "rpc_id", "sender_id",
        "size", "version",
    )  # fmt: skip

    def __init__(
        self,
        sender_id: bytes,
        rpc_id: bytes,
        name: bytes,
        args: list[Any],
        version: int = 0,
        *,
        read_only: bool = False,
    ) -> None:
        self.sender_id = sender_id
        self.rpc_id = rpc_id
        self.name = name
        self.args = args
        self.version = version
        """The minor version of the sender; 0 if it does not say."""
        self.read_only = read_only
        """Whether the sender is a client, which does not belong into routing tables."""
        self.is_validated = True
        """Whether the sender has proved that it receives packets at its address."""
        self.reply_budget = MAX_DATAGRAM
        """Bytes that a reply may have: few while the sender's address may be forged."""
        self.size = 0
        """Bytes of the datagram; 0 if unknown."""

    def mark_validated(self) -> None:
        """Record that the sender receives packets at its address."""
        self.is_validated = True
        self.reply_budget = MAX_DATAGRAM


class Response:
    """A response; its payload is decoded once its call is known."""

    __slots__ = ("packet_type", "payload", "rpc_id", "sender_id")

    def __init__(self, sender_id: bytes, rpc_id: bytes, packet_type: int, payload: bytes) -> None:
        self.sender_id = sender_id
        self.rpc_id = rpc_id
        self.packet_type = packet_type
        """129, or 130 and 131 for errors."""
        self.payload = payload


def decode(datagram: bytes) -> Request | Response:
    """Decode the packet in a datagram; WireError with its reason if there is none."""
    size = len(datagram)
    if size < _HEADER.size:
        return _decode_error(datagram)
    version, sender_id, rpc_id, packet_type, length = _HEADER.unpack_from(datagram)
    if version != VERSION:
        raise WireError(DropReason.OTHER_VERSION)
    end = _HEADER.size + length
    if packet_type == REQUEST or packet_type == RESPONSE:
        if end > size:
            raise WireError(DropReason.TRUNCATED)
        payload = datagram[_HEADER.size : end]
        if packet_type == RESPONSE:
            return Response(sender_id, rpc_id, packet_type, payload)
        return _decode_request(sender_id, rpc_id, payload)
    return _decode_error(datagram)


def _decode_error(datagram: bytes) -> Response:
    """Decode an error response, which ends with the type."""
    if len(datagram) < _ERROR_HEADER.size:
        raise WireError(DropReason.SHORT)
    version, sender_id, rpc_id, packet_type = _ERROR_HEADER.unpack_from(datagram)
    if version != VERSION:
        raise WireError(DropReason.OTHER_VERSION)
    if packet_type == NO_SUCH_RPC or packet_type == RPC_RAISED:
        return Response(sender_id, rpc_id, packet_type, b"")
    raise WireError(
        DropReason.SHORT if packet_type in (REQUEST, RESPONSE) else DropReason.UNKNOWN_TYPE
    )


def _decode_request(sender_id: bytes, rpc_id: bytes, payload: bytes) -> Request:
    fast = fast_decode.decode_request(payload)
    if fast is not None:
        template, fast_args = fast
        return Request(
            sender_id,
            rpc_id,
            template.name,
            fast_args,
            template.version,
            read_only=template.read_only,
        )
    try:
        body = bencoding.decode(payload, max_tokens=MAX_REQUEST_TOKENS)
    except WireError:
        key_end = len(_V10_STORE) + ID_BYTES
        if len(payload) >= key_end and payload.startswith(_V10_STORE) and payload.endswith(b"ee"):
            # The original encodes values that no decoder should accept. The handler refuses None;
            # without a reply the original would take this node for a dead one.
            key = payload[len(_V10_STORE) : key_end]
            return Request(sender_id, rpc_id, b"store", [key, None])
        raise
    if type(body) is not dict:
        raise WireError(DropReason.BAD_REQUEST)
    name, args = body.get(b"name"), body.get(b"args")
    if type(args) is dict:  # its entries have no order: like the original, take it for none
        args = []
    if type(name) is not bytes or type(args) is not list:
        raise WireError(DropReason.BAD_REQUEST)
    version = body.get(b"v", 0)
    return Request(
        sender_id,
        rpc_id,
        name,
        args,
        version if type(version) is int and version > 0 else 0,
        read_only=body.get(b"ro") == 1,
    )


def decode_values(payload: bytes) -> list[Any]:
    """Decode the return values of a response; WireError if the payload is no list."""
    fast = fast_decode.decode_values(payload)
    if fast is not None:
        return fast
    values = bencoding.decode(payload, max_tokens=MAX_REPLY_TOKENS)
    if type(values) is not list:
        raise WireError(DropReason.BAD_RESPONSE)
    return values


def decode_findvalue_values(payload: bytes) -> list[Any]:
    """Decode the return values of findvalue like ``decode_values``.

    Stored values that are unreadable are left out: they do not hide the others.
    """
    fast = fast_decode.decode_values(payload)
    if fast is not None:
        return fast
    values = bencoding.decode_readable(payload, _FINDVALUE_LEVELS, MAX_REPLY_TOKENS)
    if type(values) is not list:
        raise WireError(DropReason.BAD_RESPONSE)
    first: Any = values[0] if values else None
    if None in values or (type(first) is dict and None in first.values()):
        raise WireError(DropReason.NOT_BENCODED)
    if type(first) is not dict:
        return values
    found = first.get(b"retval")
    if type(found) is list and None in found:
        first[b"retval"] = [each for each in found if each is not None]
    return values


def encode_request(sender_id: bytes, rpc_id: bytes, payload: bytes) -> bytes:
    """Encode a request; ValueError if the payload exceeds 65,475 bytes."""
    return _encode(sender_id, rpc_id, REQUEST, payload)


def encode_response(sender_id: bytes, rpc_id: bytes, payload: bytes) -> bytes:
    """Encode a response; ValueError if the payload exceeds 65,475 bytes."""
    return _encode(sender_id, rpc_id, RESPONSE, payload)


def _encode(sender_id: bytes, rpc_id: bytes, packet_type: int, payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload has at most {MAX_PAYLOAD_BYTES:,} bytes, not {len(payload):,}")
    return _HEADER.pack(VERSION, sender_id, rpc_id, packet_type, len(payload)) + payload


def encode_error(sender_id: bytes, rpc_id: bytes, code: int) -> bytes:
    """Encode an error response, 130 or 131."""
    return _ERROR_HEADER.pack(VERSION, sender_id, rpc_id, code)


def encode_request_payload(name: bytes, args: bytes, *, read_only: bool) -> bytes:
    """Encode the payload of a request: its RPC, its encoded arguments, and the minor version.

    Bencoding requires sorted keys; the original reads any order.
    """
    client_field = b"2:roi1e" if read_only else b""
    return b"d4:argsl%be4:name%d:%b%b1:vi%dee" % (
        args,
        len(name),
        name,
        client_field,
        MINOR_VERSION,
    )


assert _HEADER.size == 1 + ID_BYTES + RPC_ID_BYTES + 1 + 2
