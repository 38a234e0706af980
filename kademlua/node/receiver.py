"""A packet's way in: decoded, matched with its call or answered, its sender noted."""

from __future__ import annotations

from kademlua.core.contact import Endpoint
from kademlua.core.errors import WireError
from kademlua.core.reasons import DropReason
from kademlua.core.wire import packets
from kademlua.core.wire.packets import REQUEST, TYPE_OFFSET, Response
from kademlua.liveliness.manager import LivelinessManager
from kademlua.rpc.address_validation import AddressValidator
from kademlua.rpc.client import RpcClient
from kademlua.rpc.server import RpcServer
from kademlua.runtime.context import Context


class Receiver:
    """Takes in the datagrams of one node. Nothing here blocks, spawns or formats text."""

    def __init__(
        self,
        context: Context,
        caller: RpcClient,
        strangers: AddressValidator,
        handlers: RpcServer,
        liveliness: LivelinessManager,
    ) -> None:
        self._context = context
        self._caller = caller
        self._strangers = strangers
        self._handlers = handlers
        self._liveliness = liveliness

    def receive(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Take in one datagram; called by the event loop's greenlet."""
        context = self._context
        stats = context.stats
        stats.packets_in += 1
        size = len(datagram)
        stats.bytes_in += size
        now = context.clock()
        is_validated, budget = True, 0
        if size > TYPE_OFFSET and datagram[TYPE_OFFSET] == REQUEST:
            # Before anything is parsed: what is too much shall cost as little as can be.
            is_validated = self._strangers.validated_addresses.is_validated(endpoint, now)
            budget = self._strangers.grant_reply_budget(
                size, endpoint, now, is_validated=is_validated
            )
            if not budget:
                return
        try:
            packet = packets.decode(datagram)
            if packet.sender_id == context.id:
                raise WireError(DropReason.OWN_ID)
            if endpoint[1] == 0:  # no contact can have it, and nothing can be sent there
                raise WireError(DropReason.PORT_ZERO)
        except WireError as error:
            stats.dropped[error.reason] += 1
            return
        if isinstance(packet, Response):
            call = self._caller.match(packet, endpoint, now)
            if call is not None and call.contact is not None:
                self._liveliness.on_reply(call, packet.payload, now)
                self._strangers.validated_addresses.mark(call.contact.endpoint, now)
                self._caller.complete(call, packet)
        else:
            packet.is_validated, packet.reply_budget = is_validated, budget
            self._handlers.dispatch(packet, endpoint)
            self._liveliness.on_request(packet, endpoint, now)
