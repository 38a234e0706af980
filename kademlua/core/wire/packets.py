"""Packets: the 32-byte header, requests and responses.

Header in network byte order: version (1) · sender id (20) · rpc id (8) · type (1) · payload length
(2). See ``docs/protocol.md``. Payloads are in ``requests`` and ``replies``. Any bytes either
decode or raise WireError.
"""

from __future__ import annotations

from typing import Any, Final

from kademlua.core.contact import Contact
from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BYTES
from kademlua.core.reasons import DropReason
from kademlua.core.wire import bencoding, fast_decode

VERSION: Final = 1
"""The version in the header."""
MINOR_VERSION: Final = 1
"""The version that requests of this implementation announce in ``v``."""

REQUEST: Final = 1
RESPONSE: Final = 129
NO_SUCH_RPC: Final = 130
RPC_RAISED: Final = 131
CHALLENGE: Final = 132
"""In a private network: the request needs a ticket. Only ``PrivateTransport`` handles it."""

RPC_ID_BYTES: Final = 8
_V10_STORE: Final = b"d4:name5:store4:argsl20:"
"""The start of a store request of the original, before its key."""
MAX_REQUEST_TOKENS: Final = 512
"""Tokens in a request of more than 1,200 bytes (``bencoding.decode``)."""
MAX_REPLY_TOKENS: Final = 768
"""Tokens in a reply of more than 1,200 bytes. The original returns up to 65,475 bytes of values."""
_FINDVALUE_LEVELS: Final = 3
"""Levels around the values in a findvalue reply: the return values, the dictionary, the list."""
HEADER_BYTES: Final = 1 + ID_BYTES + RPC_ID_BYTES + 1 + 2
MAX_PAYLOAD_BYTES: Final = 65_507 - HEADER_BYTES
"""The payload of the largest UDP datagram on IPv4: 65,475 bytes."""
MAX_DATAGRAM: Final = MAX_PAYLOAD_BYTES + HEADER_BYTES
MIN_PACKET_BYTES: Final = HEADER_BYTES - 2
"""The size of an error response, which ends with the type."""
TYPE_OFFSET: Final = MIN_PACKET_BYTES - 1
"""The offset of the type."""
RPC_ID_OFFSET: Final = TYPE_OFFSET - RPC_ID_BYTES
_LENGTH_OFFSET: Final = TYPE_OFFSET + 1
_VERSION_BYTE: Final = bytes([VERSION])
_REQUEST_BYTE: Final = bytes([REQUEST])
_RESPONSE_BYTE: Final = bytes([RESPONSE])


class Permit:
    """What a request permits: how much a node does for its sender (``rpc.request_gate``)."""

    __slots__ = ("is_limited", "is_validated", "reply_budget")

    def __init__(self, *, is_validated: bool, reply_budget: int, is_limited: bool = True) -> None:
        self.is_validated = is_validated
        """Whether the sender has proved that it receives packets at its address."""
        self.reply_budget = reply_budget
        """Bytes that a reply may have: few while the sender's address may be forged."""
        self.is_limited = is_limited
        """Whether the sender is charged for the time that its request takes."""


VALIDATED: Final = Permit(is_validated=True, reply_budget=MAX_DATAGRAM)
"""The permit of all senders whose address is validated."""
UNLIMITED: Final = Permit(is_validated=True, reply_budget=MAX_DATAGRAM, is_limited=False)
"""The permit of those that no rate limit applies to."""


class Request:
    """A request: its sender, rpc id, RPC and arguments."""

    __slots__ = (
        "args", "name", "permit", "read_only", "received_at", "rpc_id", "sender", "sender_id",
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
        self.sender: Contact | None = None
        """The sender, if it is in the routing table with the endpoint of the request."""
        self.rpc_id = rpc_id
        self.name = name
        self.args = args
        self.version = version
        """The minor version of the sender; 0 if it does not say."""
        self.read_only = read_only
        """Whether the sender is a client, which does not belong into routing tables."""
        self.permit = VALIDATED
        self.size = 0
        """Bytes of the datagram; 0 if unknown."""
        self.received_at = 0.0
        """When it arrived, by the node's clock."""


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
    if len(datagram) > TYPE_OFFSET and datagram[TYPE_OFFSET] == REQUEST:
        return decode_request(datagram)
    return decode_response(datagram)


def decode_request(datagram: bytes) -> Request:
    """Decode a datagram that has the type of a request; WireError if it is none."""
    sender_id, rpc_id, payload = _split(datagram)
    fast = fast_decode.decode_request(payload)
    if fast is None:
        return _decode_any_request(sender_id, rpc_id, payload)
    template, args = fast
    return Request(
        sender_id,
        rpc_id,
        template.name,
        args,
        template.version,
        read_only=template.read_only,
    )


def decode_response(datagram: bytes) -> Response:
    """Decode a datagram of any other type; WireError if it is no response."""
    if len(datagram) >= HEADER_BYTES and datagram[TYPE_OFFSET] == RESPONSE:
        sender_id, rpc_id, payload = _split(datagram)
        return Response(sender_id, rpc_id, RESPONSE, payload)
    return _decode_error(datagram)


def _split(datagram: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the sender's id, the rpc id and the payload of a request or a response."""
    if datagram and datagram[0] != VERSION:
        raise WireError(DropReason.OTHER_VERSION)
    if len(datagram) < HEADER_BYTES:
        raise WireError(DropReason.SHORT)
    # Slices cost less than ``struct``, in a compiled build above all.
    end = HEADER_BYTES + (datagram[_LENGTH_OFFSET] << 8 | datagram[_LENGTH_OFFSET + 1])
    if end > len(datagram):
        raise WireError(DropReason.TRUNCATED)
    sender_id, rpc_id = datagram[1:RPC_ID_OFFSET], datagram[RPC_ID_OFFSET:TYPE_OFFSET]
    return sender_id, rpc_id, datagram[HEADER_BYTES:end]


def _decode_error(datagram: bytes) -> Response:
    """Decode an error response, which ends with the type."""
    if len(datagram) < MIN_PACKET_BYTES:
        raise WireError(DropReason.SHORT)
    if datagram[0] != VERSION:
        raise WireError(DropReason.OTHER_VERSION)
    packet_type = datagram[TYPE_OFFSET]
    if packet_type == NO_SUCH_RPC or packet_type == RPC_RAISED:
        sender_id, rpc_id = datagram[1:RPC_ID_OFFSET], datagram[RPC_ID_OFFSET:TYPE_OFFSET]
        return Response(sender_id, rpc_id, packet_type, b"")
    raise WireError(
        DropReason.SHORT if packet_type in (REQUEST, RESPONSE) else DropReason.UNKNOWN_TYPE
    )


def _decode_any_request(sender_id: bytes, rpc_id: bytes, payload: bytes) -> Request:
    """Decode a request with the general decoder."""
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
    length = _encode_length(payload)
    return b"".join((_VERSION_BYTE, sender_id, rpc_id, _REQUEST_BYTE, length, payload))


def encode_response(sender_id: bytes, rpc_id: bytes, payload: bytes) -> bytes:
    """Encode a response; ValueError if the payload exceeds 65,475 bytes."""
    length = _encode_length(payload)
    return b"".join((_VERSION_BYTE, sender_id, rpc_id, _RESPONSE_BYTE, length, payload))


def _encode_length(payload: bytes) -> bytes:
    length = len(payload)
    if length > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload has at most {MAX_PAYLOAD_BYTES:,} bytes, not {length:,}")
    return length.to_bytes(2, "big")


def encode_error(sender_id: bytes, rpc_id: bytes, code: int) -> bytes:
    """Encode an error response, 130 or 131."""
    return b"".join((_VERSION_BYTE, sender_id, rpc_id, bytes([code])))


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
