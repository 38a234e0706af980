"""The attackers, in a process of their own: ``python -m tests.security.attacks.attackers``."""

from __future__ import annotations

import random
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kademlua.core.contact import Contact, Endpoint
from kademlua.core.errors import WireError
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.packets import Request
from tests.security.attacks.served import HEAVY_KEY, LIARS_KEY
from tests.support.spoofing import Spoofer, findnode_request, spoofed_address

_FORGED_SOURCES = 10_000
_PREPARED = 200
"""Different datagrams of a flood."""
_MAX_LAG = 0.5
"""Seconds of datagrams that a flood catches up."""
_STREAMS = 64

MakeDatagram = Callable[[random.Random], bytes]


def _with_sender_id(datagram: bytes, sender_id: bytes) -> bytes:
    return datagram[:1] + sender_id + datagram[1 + len(sender_id) :]


@dataclass(frozen=True, slots=True)
class Flood:
    """The same kind of datagram again and again."""

    description: str
    make: MakeDatagram
    per_second: float
    validated_sources: int = 0
    """Endpoints in a subnet each that answer pings; 0: forged sources that answer nothing."""


def _request(rng: random.Random, name: bytes, args: bytes) -> bytes:
    payload = packets.encode_request_payload(name, args, read_only=False)
    return packets.encode_request(rng.randbytes(20), rng.randbytes(8), payload)


def _heavy_findvalue(rng: random.Random) -> bytes:
    return _request(rng, b"findvalue", requests.encode_findvalue_args(HEAVY_KEY, 1))


def _lists(size: int) -> MakeDatagram:
    return lambda rng: _request(rng, b"ping", b"le" * ((size - 70) // 2))


def _owned_store(rng: random.Random) -> bytes:
    owner = Contact(f"9.{rng.randrange(256)}.{rng.randrange(256)}.1", 4_000, rng.randbytes(20))
    value = b"24:" + rng.randbytes(24)
    arguments = requests.StoreArguments(rng.randbytes(20), value, 86_400, owner=owner)
    return _request(rng, b"store", requests.encode_store_args(arguments))


def _leave(rng: random.Random) -> bytes:
    return _request(rng, b"leave", requests.encode_leave_args(is_handed_over=True))


FLOODS = {
    "findnodes": Flood("findnodes from forged addresses", findnode_request, 50_000),
    "heavy-key": Flood(
        "findvalues of a key with 1,000 values of 14 kB, one source", _heavy_findvalue, 900, 1
    ),
    "heavy-key-forged": Flood(
        "the same from forged addresses, each of which would get a ping", _heavy_findvalue, 2_000
    ),
    "lists-65k": Flood("65 kB of small lists from forged addresses", _lists(65_000), 500),
    "lists-1k": Flood("1,200 bytes of small lists from forged addresses", _lists(1_200), 5_000),
    "stores": Flood("stores of 24 bytes with made-up owners, 16 sources", _owned_store, 1_500, 16),
    "leaves": Flood("leaves of made-up ids from forged addresses", _leave, 20_000),
}
ATTACKS = {name: flood.description for name, flood in FLOODS.items()} | {
    "liars": "three holders whose values have no end, while the node reads",
    "streams": "64 event streams that are never read, and stores that cause events",
}


class Puppet:
    """An endpoint that answers pings, and other requests as it is told."""

    def __init__(self, number: int, node_id: bytes) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((f"127.2.{number}.1", 0))
        self._socket.setblocking(False)
        self._id = node_id

    def fileno(self) -> int:
        """Return the descriptor, for ``select``."""
        return self._socket.fileno()

    def send(self, datagram: bytes, to: Endpoint) -> None:
        """Send a datagram in the puppet's name."""
        self._socket.sendto(_with_sender_id(datagram, self._id), to)

    def answer(self, reply_to: Callable[[Request], bytes]) -> None:
        """Answer all requests that have arrived."""
        while True:
            try:
                datagram, sender = self._socket.recvfrom(65_536)
            except BlockingIOError:
                return
            try:
                packet = packets.decode(datagram)
            except WireError:
                continue
            if isinstance(packet, Request):
                payload = replies.PONG if packet.name == b"ping" else reply_to(packet)
                response = packets.encode_response(self._id, packet.rpc_id, payload)
                self._socket.sendto(response, sender)


def _no_contacts(request: Request) -> bytes:
    return b"ld7:closest0:ee" if request.name.startswith(b"find") else replies.STORE_OK


def _endless_values(request: Request) -> bytes:
    """Answer a find with 59 kB, and promise 65,536 values more."""
    if request.name != b"findvalue":
        return _no_contacts(request)
    return b"ld7:closest0:4:morei65536e6:retvall59000:%beee" % bytes(59_000)


def _pace(per_second: float) -> Iterator[int]:
    """Yield how many datagrams are due."""
    last = time.monotonic()
    due = 0.0
    while True:
        now = time.monotonic()
        due = min(due + (now - last) * per_second, _MAX_LAG * per_second)
        last = now
        yield int(due)
        due -= int(due)
        time.sleep(0.001)


def _run_flood(flood: Flood, to: Endpoint) -> None:
    rng = random.Random(1)
    datagrams = [flood.make(rng) for _ in range(_PREPARED)]
    if flood.validated_sources:
        _send_validated(flood, to, rng)
        return
    spoofer, sent = Spoofer(to), 0
    for due in _pace(flood.per_second):
        for _ in range(due):
            # A new rpc id each time; a new sender's id as well, as if from as many nodes.
            template = datagrams[sent % _PREPARED]
            datagram = _with_sender_id(template, rng.randbytes(20))
            try:
                spoofer.send(datagram, spoofed_address(sent % _FORGED_SOURCES))
            except BlockingIOError:
                break
            sent += 1


def _send_validated(flood: Flood, to: Endpoint, rng: random.Random) -> None:
    puppets = [Puppet(number, rng.randbytes(20)) for number in range(flood.validated_sources)]
    sent = 0
    for due in _pace(flood.per_second):
        for puppet in puppets:
            puppet.answer(_no_contacts)
        for _ in range(due):
            try:
                puppets[sent % len(puppets)].send(flood.make(rng), to)
            except BlockingIOError:
                break
            sent += 1


def _run_liars(to: Endpoint) -> None:
    rng = random.Random(1)
    liars = [Puppet(number, LIARS_KEY[:-1] + bytes([number])) for number in range(3)]
    for liar in liars:
        liar.send(_request(rng, b"findnode", b"20:" + rng.randbytes(20)), to)
    while True:
        for liar in select.select(liars, [], [])[0]:
            liar.answer(_endless_values)


def _run_streams(to: Endpoint, http_port: int) -> None:
    connections = [socket.create_connection(("127.0.0.1", http_port)) for _ in range(_STREAMS)]
    for connection in connections:
        connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    _run_flood(FLOODS["stores"], to)


def main() -> None:
    """Attack until the process is killed."""
    name, udp_port, http_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    to = ("127.0.0.1", udp_port)
    match name:
        case "liars":
            _run_liars(to)
        case "streams":
            _run_streams(to, http_port)
        case _:
            _run_flood(FLOODS[name], to)


if __name__ == "__main__":
    main()
