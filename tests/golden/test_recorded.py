"""The recorded packets of the original, in both directions.

``lua-exchanges.jsonl`` and ``lua-answers.jsonl`` are what the Lua and C program of 2009 sent:
facts about the wire, never to be edited.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.queue import Queue

from kademlua import Contact, FindLimits, Node, NodeOptions, Params, RpcFailed, WireError
from kademlua.core.contact import ALL_FAMILIES, ContactPool, Endpoint, parse_endpoint
from kademlua.core.ids import bucket_number
from kademlua.core.values.store import StoreEntry
from kademlua.core.wire import bencoding, packets, replies
from kademlua.core.wire.packets import Request, Response
from tests.support.world import World

HERE = Path(__file__).parent


class Recorded:
    """One line of a recording."""

    def __init__(self, line: str) -> None:
        row = json.loads(line)
        self.rpc: str = row["rpc"]
        self.note: str = row.get("note", "")
        self.request = bytes.fromhex(row["request"])
        self.response = bytes.fromhex(row["response"] or "")
        """Empty where there was none."""
        self.caller = parse_endpoint(row.get("request_from", "127.0.0.1:9555"))
        self.callee = parse_endpoint(row.get("request_to", "127.0.0.1:8001"))

    @property
    def asked(self) -> Request:
        packet = packets.decode(self.request)
        assert isinstance(packet, Request)
        return packet

    @property
    def answered(self) -> Response:
        packet = packets.decode(self.response)
        assert isinstance(packet, Response)
        return packet

    @property
    def values(self) -> list[Any]:
        return packets.decode_values(self.answered.payload)

    @property
    def contacts(self) -> set[Contact]:
        """Those that the response names."""
        return set(replies.decode_findnode_reply(self.values, ContactPool(), ALL_FAMILIES))


def recorded(name: str) -> list[Recorded]:
    return [Recorded(line) for line in (HERE / name).read_text().splitlines()]


EXCHANGES = recorded("lua-exchanges.jsonl")
ANSWERS = recorded("lua-answers.jsonl")
ANSWERED = EXCHANGES + [each for each in ANSWERS if each.response]
UNANSWERED = [each for each in ANSWERS if not each.response]


def each(cases: list[Recorded], *rpcs: str) -> pytest.MarkDecorator:
    """Parametrize a test by recordings, of some RPCs or of all."""
    chosen = [case for case in cases if not rpcs or case.rpc in rpcs]
    names = [f"{case.rpc} {case.note or case.request.hex()[42:58]}" for case in chosen]
    return pytest.mark.parametrize("case", chosen, ids=names)


def canonical(packet: bytes, caller: Contact) -> tuple[bytes, bytes]:
    """A packet's header, and its payload with keys sorted and the caller's port made nameless.

    The two bytes of the length are checked and left out, and so is the caller among the contacts:
    the original names it there, and then queries itself.
    """
    header, length, payload = packet[:30], packet[30:32], packet[32:]
    if not length:
        return header, b""
    assert int.from_bytes(length, "big") == len(payload)

    def nameless(value: Any) -> Any:
        if isinstance(value, list):
            return [
                nameless(item)
                for item in value
                if not (isinstance(item, list) and item[2:] == [caller.id])
            ]
        if isinstance(value, dict):
            return {key: nameless(item) for key, item in value.items()}
        return b"the caller's port" if value == caller.port else value

    return header, bencoding.encode(nameless(bencoding.decode(payload)))


def test_the_recordings_are_all_there():
    assert len(EXCHANGES) == 70
    assert len(ANSWERS) == 26
    assert len(UNANSWERED) == 6
    assert {case.rpc for case in EXCHANGES} == {
        "ping",
        "findnode",
        "store",
        "findvalue",
        "getsocket",
    }


# Read and written anew.


@each(EXCHANGES)
def test_a_recorded_request_is_read_and_written(case):
    packet = case.asked
    assert packet.name == case.rpc.encode()
    assert (packet.version, packet.read_only) == (0, False)
    payload = case.request[32:]
    assert packets.encode_request(packet.sender_id, packet.rpc_id, payload) == case.request
    again = bencoding.encode({b"name": packet.name, b"args": packet.args})
    assert bencoding.decode(again) == bencoding.decode(payload)
    assert sorted(again) == sorted(payload)  # the same bytes up to the order of keys


@each(ANSWERED)
def test_a_recorded_response_is_read_and_written(case):
    packet, asked = case.answered, case.asked
    assert packet.rpc_id == asked.rpc_id
    assert packet.sender_id != asked.sender_id
    if packet.packet_type != 129:
        again = packets.encode_error(packet.sender_id, packet.rpc_id, packet.packet_type)
        assert again == case.response
        return
    again = packets.encode_response(packet.sender_id, packet.rpc_id, packet.payload)
    assert again == case.response
    assert sorted(bencoding.encode(case.values)) == sorted(packet.payload)


@each(EXCHANGES, "findnode", "findvalue")
def test_recorded_contacts_are_written_as_the_original_wrote_them(case):
    for contact in case.contacts:
        assert contact.encoded_v10 in case.response


@each(UNANSWERED)
def test_unanswered_recordings_are_invalid_requests(case):
    try:
        packet = packets.decode(case.request)
    except WireError:
        return
    assert isinstance(packet, Response)


# A recorded peer asks a node on real sockets.


class Peer:
    """The recorded asker: sends its recorded bytes, answers pings, hands on the rest."""

    def __init__(self, node_id: bytes) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.contact = Contact(*self.socket.getsockname(), node_id)
        self.responses: Queue[bytes] = Queue()
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            datagram, source = self.socket.recvfrom(65_536)
            packet = packets.decode(datagram)
            if isinstance(packet, Response):
                self.responses.put(datagram)
            elif packet.name == b"ping":
                answer = packets.encode_response(self.contact.id, packet.rpc_id, b"li5ee")
                self.socket.sendto(answer, source)

    def send(self, datagram: bytes, node: Node) -> None:
        self.socket.sendto(datagram, node.contact.endpoint)

    def ping(self, node: Node) -> bytes:
        """Send a ping in the words of 1.0; the answer to it."""
        rpc_id = os.urandom(8)
        self.send(packets.encode_request(self.contact.id, rpc_id, b"d4:name4:ping4:argslee"), node)
        return packets.encode_response(node.id, rpc_id, b"li5ee")

    def close(self) -> None:
        self._greenlet.kill()
        self.socket.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer(ANSWERS[0].asked.sender_id)
    yield peer
    peer.close()


@pytest.fixture
def original(peer: Peer) -> Iterator[Node]:
    """A node as that which was recorded: its id and manners, and it knows its peer."""
    node = Node(params=Params.v10(), options=NodeOptions(id=ANSWERS[0].answered.sender_id))
    node.start()
    node.ping(peer.contact)
    assert peer.contact in node.table
    yield node
    node.close()


def test_a_node_answers_in_the_recorded_bytes(original, peer):
    """In the order of the file, because later answers hold what was stored before."""
    for case in ANSWERS:
        peer.send(case.request, original)
        expected = peer.ping(original)
        answers = [peer.responses.get(timeout=10)]
        while answers[-1] != expected:
            answers.append(peer.responses.get(timeout=10))
        got = [canonical(answer, peer.contact) for answer in answers[:-1]]
        recorded_caller = Contact(*case.caller, peer.contact.id)
        wanted = [canonical(case.response, recorded_caller)] if case.response else []
        assert got == wanted, f"{case.rpc}: {case.note}"


@each(UNANSWERED)
def test_requests_unanswered_by_v10_stay_unanswered(case, original, peer):
    peer.send(case.request, original)
    expected = peer.ping(original)
    assert peer.responses.get(timeout=10) == expected
    assert peer.responses.empty()
    assert sum(original.stats()["dropped"].values()) == 1


# A node set up as a recorded one gets the recorded request.


class Wire:
    """A transport without a network: what the node sends goes to a function of the test."""

    supports_ipv4, supports_ipv6, is_backlogged = True, False, False

    def __init__(self, local: Endpoint) -> None:
        self.local_endpoint = local
        self.sent: list[tuple[bytes, Endpoint]] = []
        self.on_send: Callable[[bytes, Endpoint], None] = lambda *_: None
        self.receive: Callable[[bytes, Endpoint], None] = lambda *_: None

    def start(self, receive: Callable[[bytes, Endpoint], None]) -> None:
        self.receive = receive

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        self.sent.append((datagram, endpoint))
        self.on_send(datagram, endpoint)
        return True

    def has_unread(self) -> bool:
        return False

    def discard_backlog(self) -> int:
        return 0

    def close(self) -> None:
        pass


def wired(world: World, node_id: bytes, local: Endpoint) -> tuple[Node, Wire]:
    wire = Wire(local)
    return world.node(id=node_id, params=Params.v10(), transport=wire), wire


ALL_CONTACTS = sorted(
    set().union(*(case.contacts for case in EXCHANGES if case.rpc in ("findnode", "findvalue"))),
    key=lambda contact: contact.endpoint,
)


@each(EXCHANGES)
def test_identically_configured_node_replies_in_recorded_form(case, world):
    asked, answered = case.asked, case.answered
    node, wire = wired(world, answered.sender_id, case.callee)
    if case.rpc in ("findnode", "findvalue"):
        for contact in case.contacts:
            node.table.on_reply(contact, 0.0)
    if case.rpc == "findnode":  # the caller is known as well, and not told of itself
        node.table.on_reply(Contact(*case.caller, asked.sender_id), 0.0)
    if case.rpc == "findvalue":
        set_up_findvalue(node, case)

    node.services.validator.validated_addresses.mark(
        case.caller, world.now
    )  # it has answered a ping before
    wire.receive(case.request, case.caller)
    (response, to), *probes = wire.sent
    assert all(packets.decode(probe).name == b"ping" for probe, _ in probes)  # of a stranger
    assert to == case.caller
    packet = packets.decode(response)
    assert isinstance(packet, Response)
    assert response[:30] == case.response[:30]  # version, ids, call
    values = packets.decode_values(packet.payload)
    assert len(values) == len(case.values)
    if case.rpc == "findnode":
        assert set(map(str, values[0])) == set(map(str, case.values[0]))
        assert len(values[0]) == len(case.values[0])
    elif case.rpc == "findvalue":
        got, wanted = values[0], case.values[0]
        assert got.keys() == wanted.keys()
        told = [listed for listed in wanted[b"closest"] if listed[2] != asked.sender_id]
        assert sorted(got[b"closest"]) == sorted(told)
        assert sorted(got.get(b"retval", [])) == sorted(wanted.get(b"retval", []))
    else:
        caller = Contact(*case.caller, asked.sender_id)
        assert canonical(response, caller) == canonical(case.response, caller)


def set_up_findvalue(node: Node, case: Recorded) -> None:
    """Store what the response holds, and know contacts that were not worth telling of."""
    key = case.asked.args[0]
    for number, value in enumerate(case.values[0].get(b"retval", [])):
        owner = Contact("127.0.0.1", 9000 + number, node.id)
        encoded = replies.encode_value(value)
        node.datastore.put(key, owner, StoreEntry(encoded, 1e9, received_at=0.0))
    own = bucket_number(node.id, key)
    for contact in ALL_CONTACTS:
        if bucket_number(contact.id, key) > own:
            node.table.on_reply(contact, 0.0)


# A node calls, and a peer answers as it was recorded.


@each(ANSWERED)
def test_a_node_understands_the_recorded_response(case, make_peer_of):
    """On real sockets: the same call gets the recorded bytes, but for its rpc id."""
    node, callee = make_peer_of(case)
    node.services.client.validated_addresses.mark(callee.endpoint, node.now)  # it has replied
    if case.answered.packet_type != 129:
        with pytest.raises(RpcFailed) as failure:
            node.call(callee, case.rpc, *case.asked.args)
        assert failure.value.code == case.answered.packet_type
        return
    values = node.call(callee, case.rpc, *case.asked.args)
    assert values == case.values
    assert callee in node.table
    if case.rpc == "ping" and not case.asked.args:
        assert node.ping(callee).contact == callee
        assert node.is_alive(callee, strong=True)
    elif case.rpc == "store":
        assert (replies.decode_store_reply(values) is None) == (values == [1])
    elif case.rpc == "getsocket":
        assert replies.decode_getsocket_reply(values) == case.caller


@pytest.fixture
def make_peer_of() -> Iterator[Callable[[Recorded], tuple[Node, Contact]]]:
    """A node with the recorded caller's id, and a peer with the recorded callee's, which
    gives the recorded answer if it is asked what was asked."""
    ends: list[Callable[[], None]] = []

    def make(case: Recorded) -> tuple[Node, Contact]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))

        def run() -> None:
            while True:
                datagram, source = sock.recvfrom(65_536)
                request = packets.decode(datagram)
                assert isinstance(request, Request)
                body = bencoding.decode(datagram[32:])
                # The original looks at two keys, and this is all that it may see there.
                is_recorded = (
                    body[b"name"] == case.rpc.encode() and body[b"args"] == case.asked.args
                )
                if is_recorded and datagram[:21] == case.request[:21]:
                    response = case.response[:21] + request.rpc_id + case.response[29:]
                    sock.sendto(response, source)

        server = gevent.spawn(run)
        node = Node(params=Params.v10(), options=NodeOptions(id=case.asked.sender_id))
        node.start()
        ends.extend([node.close, server.kill, sock.close])
        return node, Contact(*sock.getsockname(), case.answered.sender_id)

    yield make
    for end in ends:
        end()


@each(EXCHANGES, "findnode", "findvalue")
def test_a_lookup_goes_on_with_the_recorded_contacts(case, world):
    """One node answers as recorded, all others are silent: each that it told of is asked."""
    asked = case.asked
    callee = Contact(*case.callee, case.answered.sender_id)
    node, wire = wired(world, asked.sender_id, case.caller)

    def on_send(datagram: bytes, endpoint: Endpoint) -> None:
        request = packets.decode(datagram)
        if endpoint == callee.endpoint and isinstance(request, Request):
            response = case.response[:21] + request.rpc_id + case.response[29:]
            gevent.spawn(wire.receive, response, endpoint)

    wire.on_send = on_send
    node.table.on_reply(callee, 0.0)
    if case.rpc == "findnode":
        assert node.find_node(asked.args[0]) == [callee]
        wanted = []
    else:
        wanted = case.values[0].get(b"retval", [])
        answers = node.find_value(
            asked.args[0], max_nodes=20, limits=FindLimits(max_values_per_node=asked.args[1])
        )
        assert [(answer.contact, answer.values) for answer in answers] == (
            [(callee, wanted)] if wanted else []
        )
    told = {contact.endpoint for contact in case.contacts if contact.id != node.id}
    queried = {
        endpoint
        for datagram, endpoint in wire.sent
        if isinstance(packet := packets.decode(datagram), Request)
        and (packet.name, packet.args) == (case.rpc.encode(), asked.args)
    }
    assert queried == told | {callee.endpoint}
