"""A peer that behaves like the original program, as its recorded packets and its tables show."""

from __future__ import annotations

import gevent

from kademlua import Contact
from kademlua.core.contact import Endpoint, encode_v10_contacts
from kademlua.core.wire import bencoding, packets, replies
from kademlua.core.wire.packets import Request
from kademlua.runtime.transport import Transport

_RPCS = (b"ping", b"findnode", b"findvalue", b"store")
_UNKNOWN_RPC = 130


class OriginalPeer:
    """Answers in version 1.0, and enters each sender into its table, except one with its own id."""

    def __init__(self, transport: Transport, node_id: bytes) -> None:
        self._transport = transport
        self._values: dict[tuple[bytes, bytes, Endpoint], bytes] = {}
        """Bencoded values by key and owner, which is an id and an endpoint."""
        self.table: set[Contact] = set()
        self.delay = 0.0
        """Seconds before each reply."""
        transport.start(self._receive)
        self.contact = Contact(*transport.local_endpoint, node_id)

    def close(self) -> None:
        self._transport.close()

    def _receive(self, datagram: bytes, source: Endpoint) -> None:
        packet = packets.decode(datagram)
        if packet.sender_id != self.contact.id:
            self.table.add(Contact(*source, packet.sender_id))
        if isinstance(packet, Request):
            if packet.name in _RPCS:
                payload = self._reply(packet, source)
                if len(payload) > packets.MAX_PAYLOAD_BYTES:  # no datagram is as large
                    return
                response = packets.encode_response(self.contact.id, packet.rpc_id, payload)
            else:
                response = packets.encode_error(self.contact.id, packet.rpc_id, _UNKNOWN_RPC)
            gevent.spawn_later(self.delay, self._transport.send, response, source)

    def _reply(self, request: Request, source: Endpoint) -> bytes:
        others = encode_v10_contacts(each for each in self.table if each.id != request.sender_id)
        if request.name == b"ping":
            return b"li5ee"
        key = request.args[0]
        if request.name == b"findnode":
            return b"l%be" % others
        if request.name == b"store":
            encoded = replies.encode_value(request.args[1])
            self._values[key, request.sender_id, source] = encoded
            return b"li1ee"
        howmany = request.args[1] if len(request.args) > 1 else 1
        found = [encoded for (each, *_), encoded in self._values.items() if each == key][:howmany]
        retval = b"6:retvall%be" % b"".join(found) if found else b""
        return b"ld7:closest%b%bee" % (others, retval)

    def hold(self, key: bytes, values: list[bytes]) -> None:
        """Store values of as many owners."""
        for number, value in enumerate(values):
            owner = (b"%020d" % number, ("192.0.2.1", 1 + number))
            self._values[key, *owner] = replies.encode_value(value)

    def forget(self, key: bytes) -> None:
        """Lose the values of a key, as when they expire."""
        self._values = {each: value for each, value in self._values.items() if each[0] != key}

    @property
    def values(self) -> list[object]:
        """The stored values."""
        return [bencoding.decode(encoded) for encoded in self._values.values()]
