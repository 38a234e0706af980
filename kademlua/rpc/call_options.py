"""What a caller passes to the RPC client: an encoded request, and how its call waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kademlua.core.contact import Endpoint
from kademlua.core.pending_calls import PendingCall
from kademlua.core.wire import packets

PADDED_REQUEST_BYTES: Final = 240
"""Minimum bytes of a request to a peer that may not have validated this node's address.

Within the amplification limit, the reply then has space for k contacts (RFC 9000, section 8.1).
"""
PADDED_REQUEST_BYTES_IPV6: Final = 300


def padded_bytes(endpoint: Endpoint) -> int:
    """Return the size to which a request is padded if its callee may not have validated this node's
    address."""
    return PADDED_REQUEST_BYTES_IPV6 if ":" in endpoint[0] else PADDED_REQUEST_BYTES


class EncodedRequest:
    """An RPC and its arguments as a payload, encoded once for all recipients."""

    __slots__ = ("name", "payload")

    def __init__(self, name: str, payload: bytes) -> None:
        self.name = name
        self.payload = payload


PING_REQUESTS: Final = [
    EncodedRequest("ping", packets.encode_request_payload(b"ping", b"", read_only=is_client))
    for is_client in (False, True)
]
"""The encoded pings of a node that is no client, and of a client."""


class CallOptions:
    """How long a call waits, and how it treats a late reply. Nothing changes it."""

    __slots__ = (
        "alias", "is_authorized", "min_bytes", "on_late", "retransmission", "rto", "timeout",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913  # a record: a dataclass takes several times as long
        self,
        timeout: float | None = None,
        on_late: Callable[[PendingCall], None] | None = None,
        rto: float = 0.0,
        min_bytes: int = 0,
        alias: bytes = b"",
        *,
        is_authorized: bool = False,
        retransmission: EncodedRequest | None = None,
    ) -> None:
        self.timeout = timeout
        """Seconds until the call fails; None for ``Params.rpc_timeout``."""
        self.on_late = on_late
        """Called when the request is retransmitted after ``rto`` seconds, and once more later.
        Without it nothing is retransmitted."""
        self.rto = rto
        self.min_bytes = min_bytes
        """The datagram is padded to this size: a peer that has not validated this node's address
        replies with at most three times as many bytes."""
        self.alias = alias
        """The sender's id, if it is not this node's own. See ``PeerVersions.alias_for``."""
        self.is_authorized = is_authorized
        """Whether the endpoint is configured, or has caused the call by a request of its own: see
        ``OutgoingGate.judge``."""
        self.retransmission = retransmission
        """What is retransmitted instead of the request, under the same rpc id; None for the
        same."""
