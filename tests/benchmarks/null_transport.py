"""A transport without a network, and a node on it whose table is full."""

from __future__ import annotations

import random

from kademlua import Contact, Node
from kademlua.core.contact import Endpoint
from kademlua.runtime.transport import DatagramHandler
from tests.benchmarks.packets import neighbour_ids


class NullTransport:
    """Passes on the datagrams given to ``receive``, and keeps the last one sent."""

    supports_ipv4 = True
    supports_ipv6 = False
    is_backlogged = False

    def __init__(self) -> None:
        self.local_endpoint: Endpoint = ("127.0.0.1", 1)
        self.receive: DatagramHandler = lambda datagram, endpoint: None
        self.sent = b""

    def start(self, receive: DatagramHandler) -> None:
        """Keep the node's handler."""
        self.receive = receive

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Keep the datagram."""
        self.sent = datagram
        return True

    def has_unread(self) -> bool:
        return False

    def discard_backlog(self) -> int:
        """Return 0: nothing waits."""
        return 0

    def close(self) -> None:
        """Do nothing."""


def fill_table(node: Node, rng: random.Random) -> list[Contact]:
    """Enter 100 contacts into the node's table, with validated addresses, and return them."""
    contacts = [
        Contact("127.0.0.1", 10_000 + number, node_id)
        for number, node_id in enumerate(neighbour_ids(node.id, rng))
    ]
    for contact in contacts:
        node.table.on_reply(contact, node.now)
        node.services.validator.validated_addresses.mark(contact.endpoint, node.now)
    return contacts
