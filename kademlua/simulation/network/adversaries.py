"""Hostile nodes: they answer pings and lie about everything else.

A hostile member runs a real node and so enters routing tables, but its transport answers
requests for contacts and values itself. A Sybil (Douceur, "The Sybil Attack", 2002) has no node;
it pings its victims until they insert it. All hostile nodes know each other without any packet.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from kademlua.core.contact import Contact, ContactPool, Endpoint
from kademlua.core.errors import WireError
from kademlua.core.ids import from_int, to_int
from kademlua.core.routing.table import RoutingTable
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from kademlua.runtime.transport import DatagramHandler, Transport
from kademlua.simulation.network import addresses
from kademlua.simulation.network.id_index import IdIndex

_REPLY_CONTACTS = 20
"""Contacts in a reply, as many as an honest node returns."""
_FAKE_ID_BITS = 24
"""Bits that an invented id shares with the target; closer than any honest node."""
_FORGED_VALUE = b"forged"
_LOOKUP_RPCS = (b"findnode", b"findvalue")


class Attackers:
    """All hostile nodes of a simulation."""

    def __init__(self, pool: ContactPool) -> None:
        self._pool = pool
        self._id_index = IdIndex()
        self._contacts: dict[int, Contact] = {}
        self._requesters: dict[Endpoint, None] = {}

    def __contains__(self, contact: Contact) -> bool:
        return contact.id_int in self._contacts

    def __len__(self) -> int:
        return len(self._contacts)

    def add(self, node_id: bytes, endpoint: Endpoint) -> None:
        """Add a hostile node."""
        contact = self._pool.intern(*endpoint, node_id)
        self._contacts[contact.id_int] = contact
        self._id_index.add(contact.id_int)

    def closest(self, target: bytes) -> list[Contact]:
        """Return the hostile contacts closest to the target."""
        ids = self._id_index.closest(to_int(target), _REPLY_CONTACTS)
        return [self._contacts[number] for number in ids]

    def record_requester(self, endpoint: Endpoint) -> None:
        """Remember the sender of a request as a possible victim."""
        if len(self._requesters) < 1000:
            self._requesters[endpoint] = None

    def pick_victims(self, rng: random.Random, count: int) -> list[Endpoint]:
        """Return up to ``count`` random senders of requests."""
        return rng.sample(list(self._requesters), min(count, len(self._requesters)))


class HostileTransport:
    """The transport of a hostile node; it answers requests before the node sees them."""

    def __init__(
        self,
        inner: Transport,
        behaviour: str,
        attackers: Attackers,
        node_id: bytes,
        rng: random.Random,
    ) -> None:
        """``behaviour`` is one of ``scenario.BEHAVIOURS``."""
        self.local_endpoint = inner.local_endpoint
        self.supports_ipv4 = inner.supports_ipv4
        self.supports_ipv6 = inner.supports_ipv6
        self.is_backlogged = False
        self.table: RoutingTable | None = None
        """The routing table of the node behind this transport; None for a Sybil."""
        self._inner = inner
        self._attackers = attackers
        self.id = node_id
        self._rng = rng
        self._changed_values: dict[bytes, bytes] = {}
        """What ``corrupt`` returns: bencoded values, by key."""
        self._make_reply: Callable[[Request, bytes], bytes | None] = {
            "collude": self._collude,
            "garbage": self._garbage,
            "dead": self._dead,
            "deny": self._deny,
            "swallow": self._swallow,
            "forge": self._forge,
            "corrupt": self._corrupt,
        }[behaviour]

    def start(self, receive: DatagramHandler) -> None:
        """Answer requests, and pass other datagrams to ``receive``."""
        self._receive = receive
        self._inner.start(self._on_datagram)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send a datagram, or drop it."""
        return self._inner.send(datagram, endpoint)

    def has_unread(self) -> bool:
        """Return False: datagrams are received as they arrive."""
        return False

    def discard_backlog(self) -> int:
        """Drop the datagrams that wait to be received, and return their number."""
        return self._inner.discard_backlog()

    def close(self) -> None:
        """Stop sending and receiving; idempotent."""
        self._inner.close()

    def _on_datagram(self, datagram: bytes, endpoint: Endpoint) -> None:
        try:
            packet = packets.decode(datagram)
        except WireError:
            return
        payload = self._answer(packet, endpoint) if isinstance(packet, Request) else None
        if payload is None:
            self._receive(datagram, endpoint)
        else:
            self.send(packets.encode_response(self.id, packet.rpc_id, payload), endpoint)

    def _answer(self, request: Request, endpoint: Endpoint) -> bytes | None:
        """Return the payload of the reply; None to leave the request to the node."""
        if request.name == b"reach":  # no probe is sent
            return replies.encode_reach_reply(is_attempted=True)
        key = request.args[0] if request.args else None
        if isinstance(key, bytes):
            self._attackers.record_requester(endpoint)
            return self._make_reply(request, key)
        return replies.PONG if self.table is None and not request.args else None

    # Behaviours. All acknowledge stores, and only ``corrupt`` keeps anything.

    def _collude(self, request: Request, key: bytes) -> bytes | None:
        """Return hostile contacts only."""
        return self._encode_reply(request, self._attackers.closest(key))

    def _dead(self, request: Request, key: bytes) -> bytes | None:
        """Return contacts near the key that do not exist."""
        rng = self._rng
        return self._encode_reply(
            request,
            [
                Contact(addresses.unused_address(rng), 4000, id_near(key, _FAKE_ID_BITS, rng))
                for _ in range(_REPLY_CONTACTS)
            ],
        )

    def _garbage(self, request: Request, key: bytes) -> bytes | None:
        """Return malformed replies, or real addresses under invented ids."""
        if request.name not in _LOOKUP_RPCS:
            return replies.STORE_OK
        rng = self._rng
        kind = rng.randrange(4)
        if kind == 0:
            return rng.randbytes(200)
        if kind == 1:
            return b"li7ee"
        if kind == 2:
            return b"ld7:closest40:" + rng.randbytes(40) + b"ee"
        others = self._attackers.pick_victims(rng, _REPLY_CONTACTS)
        return self._encode_reply(
            request, [Contact(*each, id_near(key, _FAKE_ID_BITS, rng)) for each in others]
        )

    def _deny(self, request: Request, key: bytes) -> bytes | None:
        """Return true contacts but no values."""
        return self._encode_reply(request, self._closest_known(key))

    def _swallow(self, request: Request, key: bytes) -> bytes | None:
        """Answer lookups as the node does, and acknowledge stores without keeping values."""
        return None if request.name in _LOOKUP_RPCS else replies.STORE_OK

    def _forge(self, request: Request, key: bytes) -> bytes | None:
        """Return true contacts and a value that was never stored."""
        return self._encode_reply(
            request, self._closest_known(key), [b"%d:%b" % (len(_FORGED_VALUE), _FORGED_VALUE)]
        )

    def _corrupt(self, request: Request, key: bytes) -> bytes | None:
        """Return true contacts, and what was stored with one bit changed."""
        if request.name == b"store" and len(request.args) > 1:
            value = request.args[1]
            if isinstance(value, bytes) and value:
                changed = value[:-1] + bytes([value[-1] ^ 1])
                self._changed_values[key] = b"%d:%b" % (len(changed), changed)
            return replies.STORE_OK
        changed_value = self._changed_values.get(key)
        found = [] if changed_value is None else [changed_value]
        return self._encode_reply(request, self._closest_known(key), found)

    def _closest_known(self, key: bytes) -> list[Contact]:
        assert self.table is not None
        return self.table.closest(key, _REPLY_CONTACTS)

    def _encode_reply(
        self, request: Request, contacts: list[Contact], values: list[bytes] | None = None
    ) -> bytes:
        if request.name == b"findnode":
            return replies.encode_findnode_reply(contacts, request.version)
        if request.name == b"findvalue":
            return replies.encode_findvalue_reply(contacts, values or [], request.version)
        return replies.STORE_OK


def id_near(key: bytes, shared_bits: int, rng: random.Random) -> bytes:
    """Return a random id that shares at least ``shared_bits`` with a key."""
    return from_int(to_int(key) ^ rng.getrandbits(160 - shared_bits))
