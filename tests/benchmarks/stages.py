"""Time per stage of a served request, each stage timed in its own loop."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from kademlua import Contact, ContactPool, Node, NodeOptions
from kademlua.core.contact import ALL_FAMILIES
from kademlua.core.ids import random_id
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import packets as protocol
from kademlua.core.wire import replies as payloads
from kademlua.core.wire.packets import Response
from tests.benchmarks.null_transport import NullTransport, fill_table
from tests.benchmarks.packets import ASKER, RPCS, VERSIONS, requests_for
from tests.benchmarks.serving import PARAMS
from tests.benchmarks.table import markdown

_BATCH = 64
"""Datagrams that wait in a socket at once while its calls are timed."""
_REPEATS = 5

_T = TypeVar("_T")
_Said = tuple[list[Contact], list[bytes]]
"""The contacts and the values of an answer."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Microseconds of one request's stages."""

    rpc: str
    version: str
    recvfrom: float
    decode: float
    table: float
    """The nearest contacts found."""
    store: float
    """The value put or got."""
    encode: float
    rest: float
    """Handing on, counting, noting the sender: all of ``receive`` that is none of the above."""
    sendto: float


def measure_stages(requests: int, seed: int) -> list[Stages]:
    """The stages of every RPC in both versions."""
    rng = random.Random(seed)
    transport = NullTransport()
    options = NodeOptions(id=random_id(rng), transport=transport)
    node = Node(params=PARAMS, options=options)
    node.start()
    try:
        contacts = fill_table(node, rng)
        keys = [random_id(rng) for _ in range(requests)]
        return [
            _stages_of(rpc, version, node, transport, contacts[ASKER], keys, rng)
            for rpc in RPCS
            for version in VERSIONS
        ]
    finally:
        node.close(hand_over=False)


def _stages_of(
    rpc: str,
    version: str,
    node: Node,
    transport: NullTransport,
    sender: Contact,
    keys: Sequence[bytes],
    rng: random.Random,
) -> Stages:
    packets = list(requests_for(rpc, version, sender.id, keys, rng))
    whole = _timed(lambda packet: transport.receive(packet, sender.endpoint), packets)
    answers = []
    for packet in packets:
        transport.receive(packet, sender.endpoint)
        answers.append(transport.sent)

    decode = _timed(protocol.decode, packets)
    table = 0.0
    if rpc in ("findnode", "findvalue"):
        # 1.0 may be told of itself in a findvalue, and nobody need be left out.
        but = b"" if (rpc, version) == ("findvalue", "1.0") else sender.id
        table = _timed(lambda key: node.table.closest(key, node.params.k, but), keys)
    store = _store_stage(rpc, node, sender, keys)
    pool = ContactPool()
    said = [_said(rpc, answer, pool) for answer in answers]
    encode = _timed(_encoder(rpc, int(version == "1.1"), node.id), said)
    recvfrom = _timed_socket(packets, receives=True)
    sendto = _timed_socket(answers, receives=False)
    rest = whole - decode - table - store - encode
    return Stages(rpc, version, recvfrom, decode, table, store, encode, rest, sendto)


def _said(rpc: str, answer: bytes, pool: ContactPool) -> _Said:
    """What an answer says, to be encoded once more."""
    packet = protocol.decode(answer)
    if not isinstance(packet, Response) or packet.packet_type != protocol.RESPONSE:
        raise RuntimeError(f"{rpc}: the node did not answer as it should")
    if rpc not in ("findnode", "findvalue"):
        return [], []
    returned = protocol.decode_values(packet.payload)
    contacts = payloads.decode_findnode_reply(returned, pool, ALL_FAMILIES)
    if rpc == "findnode":
        return contacts, []
    return contacts, [payloads.encode_value(value) for value in payloads.decode_retval(returned)]


def _store_stage(rpc: str, node: Node, sender: Contact, keys: Sequence[bytes]) -> float:
    """What the data store takes of an RPC; a store takes the place of a former one."""
    store, now = node.datastore, node.now
    if rpc == "findvalue":
        return _timed(lambda key: store.get(key, 4096, now), keys)
    if rpc == "store":
        value, expires = store.get(keys[0], 1, now)[0], now + node.params.ttl
        return _timed(
            lambda key: store.put(key, sender, StoreEntry(value, expires, received_at=now)),
            keys,
        )
    return 0.0


def _encoder(rpc: str, version: int, own_id: bytes) -> Callable[[_Said], bytes]:
    """A function that makes the whole answer of what it is to say."""
    rpc_id = bytes(protocol.RPC_ID_BYTES)
    replies: dict[str, Callable[[_Said], bytes]] = {
        "ping": lambda said: payloads.PONG,
        "store": lambda said: payloads.STORE_OK,
        "findnode": lambda said: payloads.encode_findnode_reply(said[0], version),
        "findvalue": lambda said: payloads.encode_findvalue_reply(*said, version),
    }
    reply = replies[rpc]
    return lambda said: protocol.encode_response(own_id, rpc_id, reply(said))


def _timed(function: Callable[[_T], object], inputs: Sequence[_T]) -> float:
    """Microseconds of a call, without what the loop around it takes."""
    return max(0.0, _per_call(function, inputs) - _per_call(_nothing, inputs))


def _nothing(_: object) -> None:
    pass


def _per_call(function: Callable[[_T], object], inputs: Sequence[_T]) -> float:
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        for each in inputs:
            function(each)
        times.append(time.perf_counter() - began)
    return 1e6 * min(times) / len(inputs)  # the rest of the time is others'


def _timed_socket(datagrams: Sequence[bytes], *, receives: bool) -> float:
    """Microseconds of a recvfrom, or of a sendto, of datagrams of that size on loopback."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
    ):
        there.bind(("127.0.0.1", 0))
        there.setblocking(False)
        to = there.getsockname()
        times = []
        for start in range(0, len(datagrams), _BATCH):
            batch = datagrams[start : start + _BATCH]
            began = time.perf_counter()
            for datagram in batch:
                here.sendto(datagram, to)
            sent = time.perf_counter()
            for _ in batch:
                there.recvfrom(65_536)
            took = time.perf_counter() - sent if receives else sent - began
            times.append(took / len(batch))
    return 1e6 * median(times)


def stages_text(stages: Sequence[Stages]) -> str:
    """The table of the stages."""
    columns = ("recvfrom", "decode", "table", "store", "encode", "rest", "sendto")
    rows = []
    for each in stages:
        parts = [getattr(each, column) for column in columns]
        rows.append([each.rpc, each.version, *(f"{us:.2f}" for us in (*parts, sum(parts)))])
    return "\n".join(markdown(["stages, µs", "wire", *columns, "sum"], rows))
