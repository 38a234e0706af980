"""The path of an incoming packet: decode it, then match it with its call or serve it."""

from __future__ import annotations

import logging

from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason, MatchFailure
from kademlua.core.wire import packets
from kademlua.core.wire.packets import REQUEST, TYPE_OFFSET, Request, Response
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.rate_limits import MIN_REQUEST_TIME
from kademlua.rpc.server import RpcServer
from kademlua.runtime.context import Context
from kademlua.runtime.heartbeat import Heartbeat

_MAX_NAMESAKES = 64
"""Addresses of nodes with the same id that are logged."""
_NO_VALUES = b"le"


class DatagramRouter:
    """Receives the datagrams of one node. Nothing here blocks or spawns."""

    __slots__ = (
        "_client",
        "_context",
        "_heartbeat",
        "_liveliness",
        "_namesakes",
        "_server",
        "_validator",
    )

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
        self._namesakes: set[Endpoint] = set()
        """Addresses of other nodes with this node's id."""
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
            self._drop(DropReason.STALE, endpoint)
            self._heartbeat.notice_pause(now)
            return
        is_request = size > TYPE_OFFSET and datagram[TYPE_OFFSET] == REQUEST
        is_validated, reply_budget = True, 0
        validator = self._validator
        if is_request:
            # Before decoding: a request over the rate limit must cost as little as possible.
            is_validated = validator.validated_addresses.is_validated(endpoint, now)
            budget = validator.grant_reply_budget(size, endpoint, now, is_validated=is_validated)
            if budget is None:
                return
            reply_budget = budget
        try:
            packet = packets.decode(datagram)
            if packet.sender_id == context.id:
                self._on_own_id(packet, endpoint)
                raise WireError(DropReason.OWN_ID)
            if endpoint[1] == 0:  # no contact has port 0, and no reply can go there
                raise WireError(DropReason.PORT_ZERO)
        except WireError as error:
            self._drop(error.reason, endpoint)
        else:
            if isinstance(packet, Response):
                self._receive_response(packet, endpoint, now)
            else:
                packet.is_validated, packet.reply_budget = is_validated, reply_budget
                packet.size = size
                self._server.dispatch(packet, endpoint)
                self._liveliness.on_request(packet, endpoint, now)
        if is_request:
            seconds = context.clock() - now
            if seconds > MIN_REQUEST_TIME:
                validator.limits.charge_time(seconds, endpoint, now, is_validated=is_validated)

    def _drop(self, reason: DropReason | MatchFailure, endpoint: Endpoint) -> None:
        """Count a dropped datagram, and log it at level debug."""
        self._context.stats.dropped[reason] += 1
        log = self._context.log
        if log.isEnabledFor(logging.DEBUG):
            log.debug("dropped a datagram from %s: %s", format_endpoint(endpoint), reason)

    def _on_own_id(self, packet: Request | Response, endpoint: Endpoint) -> None:
        """Log another node with the same id, once for each address, and tell it."""
        call = self._client.pending_call(packet.rpc_id)
        if isinstance(packet, Request):
            if call is not None:  # sent by this node, to an address of its own
                return
            self._server.reply_later(packet, endpoint, _NO_VALUES)  # then both of them know
            if packet.read_only:  # a client that takes this node for one of version 1.0
                return
        elif call is None or call.endpoint != endpoint:  # a forged response
            return
        if endpoint not in self._namesakes and len(self._namesakes) < _MAX_NAMESAKES:
            self._namesakes.add(endpoint)
            self._context.log.warning(
                "another node, at %s, has this node's id; they drop each other's packets until one"
                " of them gets another id",
                format_endpoint(endpoint),
            )

    def _receive_response(self, packet: Response, endpoint: Endpoint, now: float) -> None:
        call = self._client.match(packet, endpoint)
        if isinstance(call, MatchFailure):
            self._drop(call, endpoint)
            if call is MatchFailure.OTHER_ID:
                pending = self._client.pending_call(packet.rpc_id)
                if pending is not None and pending.contact is not None:
                    self._liveliness.evict(pending.contact)
        elif call.contact is not None:
            self._liveliness.on_reply(call, packet.payload, now)
            self._validator.validated_addresses.mark(call.contact.endpoint, now)
            self._client.complete(call, packet)
