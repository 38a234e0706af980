"""PrivateTransport: the transport of a private network.

It encrypts each outgoing packet and passes on only those that it can decrypt. The rest of the node
notices it only when a challenge makes a request be sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, Protocol

from kademlua.core.contact import Endpoint
from kademlua.core.ids import ID_BYTES
from kademlua.core.reasons import DropReason
from kademlua.core.security.replay_protection import (
    NO_TRAILER,
    TICKET_BYTES,
    TRAILER,
    ChallengeRetries,
    SessionTable,
)
from kademlua.core.stats import Counts
from kademlua.core.wire.packets import (
    CHALLENGE,
    HEADER_BYTES,
    MIN_PACKET_BYTES,
    REQUEST,
    RPC_ID_OFFSET,
    TYPE_OFFSET,
    VERSION,
)
from kademlua.runtime.transport import DatagramHandler, Transport

RestartCall = Callable[[bytes, Endpoint], "bytes | None"]
"""Returns the datagram of a call in flight to an endpoint, to be sent again; None if there is
none."""

_MIN_REQUEST_BYTES: Final = HEADER_BYTES + TRAILER.size
"""Size of a request without a payload."""
_CHALLENGE_BYTE: Final = bytes([CHALLENGE])
_pack_trailer = TRAILER.pack


class PacketCipher(Protocol):
    """Encrypts packets for the other nodes of a private network."""

    def seal(self, packet: bytes) -> bytes:
        """Return the datagram of a packet."""

    def open(self, datagram: bytes) -> bytes | None:
        """Return the packet in a datagram; None if no node of the network made it."""


class PrivateTransport:
    """A transport around another one, for nodes that have a network key."""

    def __init__(
        self,
        transport: Transport,
        cipher: PacketCipher,
        dropped: Counts,
        rng: random.Random,
        restart_call: RestartCall,
        local_id: bytes,
    ) -> None:
        """Wrap a transport.

        Args:
            cipher: Encrypts and decrypts all datagrams.
            dropped: Counts rejected datagrams by reason.
            restart_call: Finds the request to which a challenge belongs.
            local_id: The node's id, whose requests are dropped.
        """
        self._transport = transport
        self._dropped = dropped
        self._sessions = SessionTable(rng)
        self._challenge_retries = ChallengeRetries()
        self._restart_call = restart_call
        self._local_id = local_id
        self._seal, self._open = cipher.seal, cipher.open
        self._get_session = self._sessions.get
        self._refusal_reason = self._sessions.check
        self._send_raw = transport.send

    @property
    def local_endpoint(self) -> Endpoint:
        """The address and port of the socket, once started."""
        return self._transport.local_endpoint

    @property
    def is_backlogged(self) -> bool:
        """Whether datagrams arrive faster than the node processes them."""
        return self._transport.is_backlogged

    @property
    def supports_ipv4(self) -> bool:
        """Whether the transport can send to IPv4 addresses."""
        return self._transport.supports_ipv4

    @property
    def supports_ipv6(self) -> bool:
        """Whether the transport can send to IPv6 addresses."""
        return self._transport.supports_ipv6

    def start(self, receive: DatagramHandler) -> None:
        """Bind, and pass on the packets of the network; OSError if that fails."""
        self._deliver = receive
        self._transport.start(self._receive)

    def close(self) -> None:
        """Stop and free everything; idempotent."""
        self._transport.close()

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Encrypt and send or drop a packet; return False if the system refused it."""
        if datagram[TYPE_OFFSET] == REQUEST:
            session = self._get_session(endpoint)
            if session is None:
                datagram += NO_TRAILER
            else:
                session.outgoing_counter = counter = session.outgoing_counter + 1
                datagram += _pack_trailer(session.outgoing_ticket, counter)
        return self._send_raw(self._seal(datagram), endpoint)

    def has_unread(self) -> bool:
        """Return whether a datagram waits to be received."""
        return self._transport.has_unread()

    def discard_backlog(self) -> int:
        """Drop the datagrams that wait to be received, and return their number."""
        return self._transport.discard_backlog()

    def _receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Accept or reject a datagram; called by the event loop's greenlet."""
        body = self._open(datagram)
        if body is None or len(body) < MIN_PACKET_BYTES:
            self._dropped[DropReason.UNDECIPHERABLE if body is None else DropReason.SHORT] += 1
            return
        packet_type = body[TYPE_OFFSET]
        if packet_type == REQUEST:
            reason = self._refusal_reason(endpoint, body)
            if reason is DropReason.UNPROVEN:
                reason = self._find_fault(body) or self._send_challenge(body, endpoint)
            if reason is not None:
                self._dropped[reason] += 1
                return
            body = body[: -TRAILER.size]
        elif packet_type == CHALLENGE:
            self._on_challenge(body, endpoint)
            return
        # A recorded response cannot match a call: its rpc id is used once and cannot be
        # guessed.
        self._deliver(body, endpoint)

    def _find_fault(self, request: bytes) -> DropReason | None:
        """Return why a request would be dropped even with a ticket; None if it would not."""
        if len(request) < _MIN_REQUEST_BYTES:
            return DropReason.SHORT
        if request[0] != VERSION:
            return DropReason.OTHER_VERSION
        return DropReason.OWN_ID if request[1 : 1 + ID_BYTES] == self._local_id else None

    def _send_challenge(self, request: bytes, endpoint: Endpoint) -> DropReason:
        """Answer a request that may be a recorded one with a ticket to be shown."""
        body = request[:TYPE_OFFSET] + _CHALLENGE_BYTE + self._sessions.ticket_for(endpoint)
        self._send_raw(self._seal(body), endpoint)
        return DropReason.UNPROVEN

    def _on_challenge(self, body: bytes, endpoint: Endpoint) -> None:
        """A request of ours needs a ticket: repeat it with that."""
        rpc_id, ticket = body[RPC_ID_OFFSET:TYPE_OFFSET], body[MIN_PACKET_BYTES:]
        is_allowed = len(ticket) == TICKET_BYTES and self._challenge_retries.is_allowed(
            rpc_id, ticket
        )
        request = self._restart_call(rpc_id, endpoint) if is_allowed else None
        if request is None:
            self._dropped[DropReason.UNEXPECTED_CHALLENGE] += 1
            return
        self._challenge_retries.record(rpc_id, ticket)
        self._sessions.adopt_ticket(endpoint, ticket)
        self.send(request, endpoint)
