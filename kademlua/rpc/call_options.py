"""What a caller passes to the RPC client: an encoded request, and how its call waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from kademlua.core.pending_calls import PendingCall
from kademlua.core.wire import packets

PADDED_REQUEST_BYTES: Final = 240
"""Minimum bytes of a request to a peer that may not have validated this node's address.

Within the amplification limit, the reply then has space for k contacts (RFC 9000, section 8.1).
"""
PADDED_REQUEST_BYTES_IPV6: Final = 300


class EncodedRequest(NamedTuple):
    """An RPC and its arguments as a payload, encoded once for all recipients."""

    name: str
    payload: bytes


PING_REQUESTS: Final = [
    EncodedRequest("ping", packets.encode_request_payload(b"ping", b"", read_only=is_client))
    for is_client in (False, True)
]
"""The encoded pings of a node that is no client, and of a client."""


class CallOptions(NamedTuple):
    """How long a call waits, and how it treats a late reply."""

    timeout: float | None = None
    """Seconds until the call fails; None for ``Params.rpc_timeout``."""
    on_late: Callable[[PendingCall], None] | None = None
    """Called when the request is retransmitted after ``rto`` seconds, and once more later. Without
    it nothing is retransmitted."""
    rto: float = 0.0
    min_bytes: int = 0
    """The datagram is padded to this size: a peer that has not validated this node's address
    replies with at most three times as many bytes."""
    alias: bytes = b""
    """The sender's id, if it is not this node's own. See ``PeerVersions.alias_for``."""
    is_authorized: bool = False
    """Whether the endpoint is configured, or has caused the call by a request of its own: see
    ``OutgoingGate.judge``."""
    retransmission: EncodedRequest | None = None
    """What is retransmitted instead of the request, under the same rpc id; None for the same."""
