"""LoggingTransport: a transport that logs each packet."""

from __future__ import annotations

import logging

from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.errors import WireError
from kademlua.core.wire import packets
from kademlua.runtime.safe_logger import SafeLogger
from kademlua.runtime.transport import DatagramHandler, UdpTransport

logger = SafeLogger(logging.getLogger("kademlua.packets"))


class LoggingTransport(UdpTransport):
    """A UDP socket whose datagrams are logged at level DEBUG, with their RPC and size."""

    def start(self, receive: DatagramHandler) -> None:
        """Bind the socket and spawn the event loop; OSError if the port is in use."""

        def log_and_receive(datagram: bytes, endpoint: Endpoint) -> None:
            _log("from", datagram, endpoint)
            receive(datagram, endpoint)

        super().start(log_and_receive)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop a datagram; return False if the system refused it."""
        _log("to", datagram, endpoint)
        return super().send(datagram, endpoint)


def _log(direction: str, datagram: bytes, endpoint: Endpoint) -> None:
    where = format_endpoint(endpoint)
    logger.debug("%s %s: %s, %d bytes", direction, where, describe(datagram), len(datagram))


def describe(datagram: bytes) -> str:
    """Return the RPC of a request, or the kind of another packet, with the start of its rpc id."""
    try:
        packet = packets.decode(datagram)
    except WireError as error:  # among them all of a private network
        return f"no plain packet ({error.reason})"
    call = packet.rpc_id.hex()[:8]
    if isinstance(packet, packets.Request):
        key = packet.args[0].hex() if packet.args and type(packet.args[0]) is bytes else ""
        return f"request {call} {packet.name.decode('ascii', 'replace')} {key}".rstrip()
    kind = "response" if packet.packet_type == packets.RESPONSE else f"error {packet.packet_type}"
    return f"{kind} {call}"
