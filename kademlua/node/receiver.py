"""The path of an incoming packet: decode it, then match it with its call or serve it."""

from __future__ import annotations

from kademlua.core.contact import Endpoint
from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason, MatchFailure
from kademlua.core.wire import packets
from kademlua.core.wire.packets import REQUEST, TYPE_OFFSET, Response
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.server import RpcServer
from kademlua.runtime.context import Context
from kademlua.runtime.heartbeat import Heartbeat


class DatagramRouter:
    """Receives the datagrams of one node. Nothing here blocks, spawns or formats text."""

    __slots__ = ("_client", "_context", "_heartbeat", "_liveliness", "_server", "_validator")

    def __init__(
        self,
        *,
        context: Context,
        client: RpcClient,
        validator: AddressValidator,
        server: RpcServer,
        liveliness: LivelinessManager,
        heartbeat: Heartbeat,
    ) -> None:
        self._context = context
        self._client = client
        self._validator = validator
        self._server = server
        self._liveliness = liveliness
        self._heartbeat = heartbeat

    def receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Process one datagram; called by the event loop's greenlet."""
        context = self._context
        stats = context.stats
        stats.packets_in += 1
        size = len(datagram)
        stats.bytes_in += size
        now = context.clock()
        if now > self._heartbeat.overdue_at:  # the node was paused: the datagram is stale
            stats.dropped[DropReason.STALE] += 1
            self._heartbeat.notice_pause(now)
            return
        is_validated, reply_budget = True, 0
        if size > TYPE_OFFSET and datagram[TYPE_OFFSET] == REQUEST:
            # Before decoding: a request over the rate limit must cost as little as possible.
            validator = self._validator
            is_validated = validator.validated_addresses.is_validated(endpoint, now)
            reply_budget = validator.grant_reply_budget(
                size, endpoint, now, is_validated=is_validated
            )
            if not reply_budget:
                return
        try:
            packet = packets.decode(datagram)
            if packet.sender_id == context.id:
                raise WireError(DropReason.OWN_ID)
            if endpoint[1] == 0:  # no contact has port 0, and no reply can go there
                raise WireError(DropReason.PORT_ZERO)
        except WireError as error:
            stats.dropped[error.reason] += 1
            return
        if isinstance(packet, Response):
            self._receive_response(packet, endpoint, now)
        else:
            packet.is_validated, packet.reply_budget = is_validated, reply_budget
            self._server.dispatch(packet, endpoint)
            self._liveliness.on_request(packet, endpoint, now)

    def _receive_response(self, packet: Response, endpoint: Endpoint, now: float) -> None:
        call = self._client.match(packet, endpoint)
        if isinstance(call, MatchFailure):
            self._context.stats.dropped[call] += 1
            if call is MatchFailure.OTHER_ID:
                contact = self._client.expected_contact(packet.rpc_id)
                if contact is not None:
                    self._liveliness.evict(contact)
        elif call.contact is not None:
            self._liveliness.on_reply(call, packet.payload, now)
            self._validator.validated_addresses.mark(call.contact.endpoint, now)
            self._client.complete(call, packet)
