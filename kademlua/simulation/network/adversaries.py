"""Hostile nodes: they answer pings, and lie about all else.

Those among the others run a node, so that they get into tables like them; what it is asked for
contacts and values does not get that far. Sybils do without, and have themselves looked at by
those whom they are after. All know of each other, at once and for nothing.
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
from kademlua.runtime.transport import Receiver, Transport
from kademlua.simulation.network import addresses
from kademlua.simulation.network.id_index import Census

_MADE_UP = 20
"""Contacts in an answer: as many as honest ones have."""
_BITS = 24
"""That a made-up id shares with what is sought: nearer than any honest one."""
_FORGED = b"forged"
_CALL = packets.RPC_ID_BYTES + 21
_SEEKING = (b"findnode", b"findvalue")


class Gang:
    """All hostile nodes of a simulation."""

    def __init__(self, pool: ContactPool) -> None:
        self._pool = pool
        self._census = Census()
        self._contacts: dict[int, Contact] = {}
        self._seen: dict[Endpoint, None] = {}

    def __contains__(self, contact: Contact) -> bool:
        return contact.number in self._contacts

    def __len__(self) -> int:
        return len(self._contacts)

    def admit(self, node_id: bytes, endpoint: Endpoint) -> None:
        """One more is one of them."""
        contact = self._pool.contact(*endpoint, node_id)
        self._contacts[contact.number] = contact
        self._census.add(contact.number)

    def closest(self, target: bytes) -> list[Contact]:
        """Those of them that are nearest to what is sought."""
        numbers = self._census.closest(to_int(target), _MADE_UP, lambda _: True)
        return [self._contacts[number] for number in numbers]

    def saw(self, endpoint: Endpoint) -> None:
        """One of them was asked something from there: there is somebody to be abused."""
        if len(self._seen) < 1000:
            self._seen[endpoint] = None

    def victims(self, chance: random.Random, count: int) -> list[Endpoint]:
        """Some of those who asked anything."""
        return chance.sample(list(self._seen), min(count, len(self._seen)))


class HostileTransport:
    """The transport of a hostile node, which answers before the node can."""

    def __init__(
        self, inner: Transport, behaviour: str, gang: Gang, node_id: bytes, chance: random.Random
    ) -> None:
        """``behaviour`` is one of ``scenario.BEHAVIOURS``."""
        self.local = inner.local
        self.reaches_v4 = inner.reaches_v4
        self.reaches_v6 = inner.reaches_v6
        self.is_behind = False
        self.table: RoutingTable | None = None
        """That of the node behind it, where there is one."""
        self._inner = inner
        self._gang = gang
        self.id = node_id
        self._chance = chance
        self._answer: Callable[[Request, bytes], bytes | None] = {
            "collude": self._collude,
            "garbage": self._garbage,
            "dead": self._dead,
            "deny": self._deny,
            "swallow": self._swallow,
            "forge": self._forge,
        }[behaviour]

    def start(self, receive: Receiver) -> None:
        """Begin to answer, and to hand on what is not answered here."""
        self._receive = receive
        self._inner.start(self._take)

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        """Send or drop."""
        return self._inner.send(datagram, endpoint)

    def close(self) -> None:
        """Stop; idempotent."""
        self._inner.close()

    def _take(self, datagram: bytes, endpoint: Endpoint) -> None:
        if len(datagram) > _CALL and datagram[_CALL] == packets.REQUEST:
            try:
                request = packets.decode(datagram)
            except WireError:
                return
            if isinstance(request, Request) and request.name == b"reach":  # it reaches nobody
                self._respond(request, replies.reach_reply(True), endpoint)
                return
            if self.table is None and isinstance(request, Request) and not request.args:
                self._respond(request, replies.PONG, endpoint)
                return
            key = request.args[0] if isinstance(request, Request) and request.args else None
            if isinstance(request, Request) and isinstance(key, bytes):
                self._gang.saw(endpoint)
                payload = self._answer(request, key)
                if payload is not None:
                    self._respond(request, payload, endpoint)
                    return
        self._receive(datagram, endpoint)

    def _respond(self, request: Request, payload: bytes, endpoint: Endpoint) -> None:
        self.send(packets.encode_response(self.id, request.rpc_id, payload), endpoint)

    # What it has to say. All acknowledge what they are to store, and keep nothing.

    def _collude(self, request: Request, key: bytes) -> bytes | None:
        """Tell of the gang only."""
        return self._reply(request, self._gang.closest(key))

    def _dead(self, request: Request, key: bytes) -> bytes | None:
        """Tell of contacts next to the key that are not there."""
        chance = self._chance
        return self._reply(
            request,
            [
                Contact(addresses.of_nobody(chance), 4000, _near(key, chance))
                for _ in range(_MADE_UP)
            ],
        )

    def _garbage(self, request: Request, key: bytes) -> bytes | None:
        """Answer with what is none, or name others by ids that are not theirs."""
        if request.name not in _SEEKING:
            return replies.STORED
        chance = self._chance
        kind = chance.randrange(4)
        if kind == 0:
            return chance.randbytes(200)
        if kind == 1:
            return b"li7ee"
        if kind == 2:
            return b"ld7:closest40:" + chance.randbytes(40) + b"ee"
        others = self._gang.victims(chance, _MADE_UP)
        return self._reply(request, [Contact(*each, _near(key, chance)) for each in others])

    def _deny(self, request: Request, key: bytes) -> bytes | None:
        """Lead to the key, and know of no value."""
        return self._reply(request, self._known(key))

    def _swallow(self, request: Request, key: bytes) -> bytes | None:
        """Do all as it should, but keep nothing."""
        return None if request.name in _SEEKING else replies.STORED

    def _forge(self, request: Request, key: bytes) -> bytes | None:
        """Lead to the key, and show a value that nobody stored."""
        return self._reply(request, self._known(key), [b"%d:%b" % (len(_FORGED), _FORGED)])

    def _known(self, key: bytes) -> list[Contact]:
        assert self.table is not None
        return self.table.closest(key, _MADE_UP)

    def _reply(
        self, request: Request, contacts: list[Contact], values: list[bytes] | None = None
    ) -> bytes:
        if request.name == b"findnode":
            return replies.findnode_reply(contacts, request.version)
        if request.name == b"findvalue":
            return replies.findvalue_reply(contacts, values or [], request.version)
        return replies.STORED


def near(key: bytes, bits: int, chance: random.Random) -> bytes:
    """A random id that shares so many bits with a key."""
    return from_int(to_int(key) ^ chance.getrandbits(160 - bits))


def _near(key: bytes, chance: random.Random) -> bytes:
    return near(key, _BITS, chance)


class Sybil:
    """One with an id next to the key that the gang is after."""

    def __init__(self, transport: HostileTransport, chance: random.Random) -> None:
        self._transport = transport
        self._chance = chance
        transport.start(lambda datagram, endpoint: None)

    def pester(self, others: list[Endpoint]) -> None:
        """Ping others, so that they look whether there is a place for it."""
        payload = packets.encode_call(b"ping", b"", False)
        for endpoint in others:
            rpc_id = self._chance.randbytes(packets.RPC_ID_BYTES)
            datagram = packets.encode_request(self._transport.id, rpc_id, payload)
            self._transport.send(datagram, endpoint)
