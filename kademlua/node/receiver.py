"""The path of an incoming packet: decode it, then match it with its call or serve it."""

from __future__ import annotations

import logging
from typing import Final

from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.errors import WireError
from kademlua.core.pending_calls import PendingCall
from kademlua.core.reasons import DropReason, MatchFailure
from kademlua.core.wire import packets
from kademlua.core.wire.packets import REQUEST, TYPE_OFFSET, Request, Response
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.client import RpcClient
from kademlua.rpc.request_gate import RequestGate
from kademlua.rpc.server import RpcServer
from kademlua.runtime.context import Context
from kademlua.runtime.heartbeat import Heartbeat

_MAX_NAMESAKES: Final = 64
"""Addresses of nodes with the same id that are logged."""
_NO_VALUES: Final = b"le"


class DatagramRouter:
    """Receives the datagrams of one node. Nothing here blocks or spawns."""

    __slots__ = (
        "_client",
        "_context",
        "_gate",
        "_heartbeat",
        "_liveliness",
        "_namesakes",
        "_server",
        "_table",
    )

    def __init__(
        self,
        *,
        context: Context,
        client: RpcClient,
        gate: RequestGate,
        server: RpcServer,
        liveliness: LivelinessManager,
        heartbeat: Heartbeat,
    ) -> None:
        self._context = context
        self._client = client
        self._gate = gate
        self._table = context.table
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
        stats.bytes_in += len(datagram)
        now = context.clock()
        if now > self._heartbeat.overdue_at:  # the node was paused: the datagram is stale
            self._drop(DropReason.STALE, endpoint)
            self._heartbeat.notice_pause(now)
            return
        if len(datagram) > TYPE_OFFSET and datagram[TYPE_OFFSET] == REQUEST:
            self._receive_request(datagram, endpoint, now)
        else:
            self._receive_response(datagram, endpoint, now)

    def _receive_request(self, datagram: bytes, endpoint: Endpoint, now: float) -> None:
        """Serve a request, if the gate admits it."""
        size = len(datagram)
        entry = self._table.get_by_endpoint(endpoint)
        permit = self._gate.admit(size, endpoint, entry, now)
        if permit is None:
            return
        try:
            request = packets.decode_request(datagram)
            if request.sender_id == self._context.id:
                self._on_own_id(request, endpoint)
                raise WireError(DropReason.OWN_ID)
            if endpoint[1] == 0:  # no contact has port 0, and no reply can go there
                raise WireError(DropReason.PORT_ZERO)
        except WireError as error:
            self._drop(error.reason, endpoint)
        else:
            request.permit, request.size, request.received_at = permit, size, now
            if entry is not None and entry.contact.id == request.sender_id:
                request.sender = entry.contact
            else:
                entry = None
            self._server.dispatch(request, endpoint)
            self._liveliness.on_request(request, endpoint, entry)
        if permit.is_limited:
            self._gate.charge(self._context.clock() - now, endpoint, now, permit)

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

    def _receive_response(self, datagram: bytes, endpoint: Endpoint, now: float) -> None:
        """Match a response with its call."""
        try:
            response = packets.decode_response(datagram)
            if response.sender_id == self._context.id:
                self._on_own_id(response, endpoint)
                raise WireError(DropReason.OWN_ID)
        except WireError as error:
            self._drop(error.reason, endpoint)
            return
        call = self._client.match(response, endpoint)
        if isinstance(call, PendingCall):
            self._liveliness.on_reply(call, response.payload, now)
            if not call.is_in_table:
                self._client.validated_addresses.mark(endpoint, now)
            self._client.complete(call, response)
            return
        self._drop(call, endpoint)
        if call is MatchFailure.OTHER_ID:
            pending = self._client.pending_call(response.rpc_id)
            if pending is not None and pending.contact is not None:
                self._liveliness.evict(pending.contact)
