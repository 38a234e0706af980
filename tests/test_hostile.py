"""What strangers may send: dropped and counted by reason, or answered as the original would;
the node lives on."""

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import bencoder
import gevent
import pytest

from kademlua import Contact, Node, Params, RpcTimeout, WireError, sha1
from kademlua.core import protocol
from kademlua.core.protocol import Request, Response
from tests.peers import Peer, until

Make = Callable[..., Node]
MakePeer = Callable[..., Peer]

KEY = sha1("key")
GOLDEN = Path(__file__).parent / "golden"


def packet(
    call: int = 1, payload: bytes = b"", version: int = 1, length: int | None = None
) -> bytes:
    size = len(payload) if length is None else length
    return struct.pack("!B20s8sBH", version, b"i" * 20, b"r" * 8, call, size) + payload


def bodied(**body: object) -> bytes:
    return packet(payload=bencoder.bencode({"name": b"ping", "args": []} | body))


DROPPED = {
    "empty": (b"", "short"),
    "cut in the header": (packet()[:29], "short"),
    "no length": (packet()[:30], "short"),
    "cut in the payload": (packet(payload=b"d4:name", length=22), "cut"),
    "version 2": (packet(version=2), "other version"),
    "short of version 2": (packet(version=2)[:30], "other version"),
    "call 7": (packet(call=7), "unknown call"),
    "no payload": (packet(), "not bencoded"),
    "not bencoded": (packet(payload=b"\xff" * 40), "not bencoded"),
    "60,000 lists": (packet(payload=b"l" * 60_000), "nested too deeply"),
    "60,000 lists, ended": (packet(payload=b"l" * 30_000 + b"e" * 30_000), "nested too deeply"),
    "60,000 dictionaries": (packet(payload=b"d1:a" * 15_000), "nested too deeply"),
    "a huge length": (packet(payload=b"9" * 20 + b":"), "not bencoded"),
    "a huge integer": (packet(payload=b"i" + b"9" * 60_000 + b"e"), "not bencoded"),
    "a loose integer": (packet(payload=b"d4:argsli 1ee4:name4:pinge"), "not bencoded"),
    "a repeated key": (packet(payload=b"d4:argsle4:name4:ping4:name4:pinge"), "not bencoded"),
    "a rest behind": (packet(payload=b"d4:argsle4:name4:pingexyz"), "not bencoded"),
    "no dictionary": (packet(payload=b"li5ee"), "bad request"),
    "no name": (packet(payload=b"d4:argslee"), "bad request"),
    "a name of the wrong type": (bodied(name=[b"ping"]), "bad request"),
    "no arguments": (packet(payload=b"d4:name4:pinge"), "bad request"),
    "arguments of the wrong type": (bodied(args={}), "bad request"),
    "a response nobody asked for": (packet(call=129, payload=b"li5ee"), "unasked response"),
    "an error nobody asked for": (packet(call=131)[:30], "unasked response"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_dropped_and_counted(name: str, make_node: Make, make_peer: MakePeer) -> None:
    datagram, reason = DROPPED[name]
    node, peer = make_node(), make_peer()
    for _ in range(3):
        peer.send(datagram, node.contact.endpoint)
    assert peer.is_served_by(node.contact.endpoint)
    assert node.stats()["dropped"] == {reason: 3}


ANSWERED = {
    "an RPC that is not there": ({"name": b"nothere"}, 130, b""),
    "a name that is no text": ({"name": b"\xff\0"}, 130, b""),
    "findvalue with howmany of the wrong type": (
        {"name": b"findvalue", "args": [KEY, b"x"]},
        131,
        b"",
    ),
    "store without a value": ({"name": b"store", "args": [KEY]}, 131, b""),
    "store with overwrite of the wrong type": (
        {"name": b"store", "args": [KEY, b"v", []]},
        131,
        b"",
    ),
    "findnode of a short id": ({"name": b"findnode", "args": [b"abc"]}, 129, b"li0ee"),
    "findnode of no id": ({"name": b"findnode"}, 129, b"li0ee"),
    "findnode of an integer": ({"name": b"findnode", "args": [7]}, 129, b"li0ee"),
    "findvalue of a long id": ({"name": b"findvalue", "args": [b"x" * 21]}, 129, b"llee"),
    "store under a short key": ({"name": b"store", "args": [b"abc", b"v"]}, 129, b"li0ee"),
    "findvalue, howmany negative": (
        {"name": b"findvalue", "args": [KEY, -(2**70)]},
        129,
        b"ld7:closestleee",
    ),
    "ping with a strange v and ro": ({"v": [], "ro": b"x"}, 129, b"li5ee"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_answered_as_the_original_would(name: str, make_node: Make, make_peer: MakePeer) -> None:
    body, call, payload = ANSWERED[name]
    node, peer = make_node(), make_peer()
    response = peer.ask(node.contact.endpoint, bodied(**body)[32:])
    assert (response.call, response.payload) == (call, payload)
    assert not node.stats()["dropped"]


class TestResponses:
    """A reply counts only if rpc id, address, port and id agree."""

    @pytest.fixture
    def node(self, make_node: Make) -> Node:
        return make_node(params=Params(rpc_timeout=5))

    def begin(self, node: Node, peer: Peer) -> tuple[gevent.Greenlet, Request]:
        caller = gevent.spawn(node.call, peer.contact, "ping")
        request = peer.receive()
        assert isinstance(request, Request)
        return caller, request

    def end(self, node: Node, peer: Peer, caller: gevent.Greenlet, request: Request) -> None:
        """The right answer still counts, and counts once."""
        right = protocol.encode_response(peer.id, request.rpc_id, b"li5ee")
        peer.send(right, node.contact.endpoint)
        assert caller.get(timeout=5) == [5]
        peer.send(right, node.contact.endpoint)

    def test_from_another_port(self, node: Node, make_peer: MakePeer) -> None:
        peer, liar = make_peer(), make_peer()
        caller, request = self.begin(node, peer)
        liar.send(
            protocol.encode_response(peer.id, request.rpc_id, b"li6ee"), node.contact.endpoint
        )
        assert liar.is_served_by(node.contact.endpoint)
        self.end(node, peer, caller, request)
        assert node.stats()["dropped"]["response from elsewhere"] == 1

    def test_from_another_address(self, node: Node, make_peer: MakePeer) -> None:
        peer, liar = make_peer(), make_peer(host="127.0.0.2")
        caller, request = self.begin(node, peer)
        liar.send(
            protocol.encode_response(peer.id, request.rpc_id, b"li6ee"), node.contact.endpoint
        )
        assert liar.is_served_by(node.contact.endpoint)
        self.end(node, peer, caller, request)
        assert node.stats()["dropped"]["response from elsewhere"] == 1

    def test_of_another_id(self, node: Node, make_peer: MakePeer) -> None:
        peer = make_peer()
        caller, request = self.begin(node, peer)
        peer.send(
            protocol.encode_response(b"x" * 20, request.rpc_id, b"li6ee"), node.contact.endpoint
        )
        self.end(node, peer, caller, request)
        assert node.stats()["dropped"]["response of another id"] == 1

    def test_late_or_twice(self, node: Node, make_peer: MakePeer) -> None:
        peer = make_peer()
        caller = gevent.spawn(node.call, peer.contact, "ping", timeout=0.05)
        late = peer.receive()
        with pytest.raises(RpcTimeout):
            caller.get(timeout=5)
        answer = protocol.encode_response(peer.id, late.rpc_id, b"li5ee")
        peer.send(answer, node.contact.endpoint)
        self.end(node, peer, *self.begin(node, peer))
        until(lambda: node.stats()["dropped"].get("unasked response") == 2)

    @pytest.mark.parametrize("payload", [b"", b"i5e", b"x", b"l" * 70 + b"e" * 70])
    def test_unreadable(self, node: Node, make_peer: MakePeer, payload: bytes) -> None:
        peer = make_peer()
        caller, request = self.begin(node, peer)
        peer.send(protocol.encode_response(peer.id, request.rpc_id, payload), node.contact.endpoint)
        with pytest.raises(WireError):
            caller.get(timeout=5)

    @pytest.mark.parametrize(
        "answer",
        [
            [],
            [5],
            [[b"x"]],
            [[[b"localhost", 80, b"i" * 20]]],
            [[[b"127.0.0.1", 0, b"i" * 20]]],
            [[[b"127.0.0.1", 2**64, b"i" * 20]]],
            [[[b"127.0.0.1", 80, b"i" * 19]]],
            [{b"closest": b"x" * 27}],
            [{b"closest": [[]]}],
            [{b"closest": 7}],
            [{b"closest": b"x" * 24 + b"\0\0"}],
        ],
    )
    def test_a_lookup_passes_over_nonsense(
        self, make_network: Callable[..., list[Node]], make_peer: MakePeer, answer: list[object]
    ) -> None:
        nodes = make_network(5)
        peer = make_peer()
        encoded = bencoder.bencode(answer)
        peer.serve(lambda request: b"li5ee" if request.name == b"ping" else encoded)
        nodes[0].ping(peer.contact)
        nodes[0].add(KEY, b"v")
        found = nodes[0].find_node(KEY)
        assert {contact.id for contact in found} == {node.id for node in nodes[1:]}
        assert nodes[0].find_value(KEY)


def test_a_1_0_peer_is_never_told_of_ipv6(make_node: Make, make_peer: MakePeer) -> None:
    node = make_node(host="::")
    port = node.contact.port
    six = make_node(host="::1", bootstrap=[("::1", port)])
    four = make_node(bootstrap=[("127.0.0.1", port)])
    until(lambda: len(node.table) == 2)
    peer = make_peer()
    to = ("127.0.0.1", port)
    for name in ("findnode", "findvalue"):
        # Near to the IPv6 node, so that 1.0's findvalue would list it.
        answer = peer.ask(to, bodied(name=name, args=[six.id])[32:])
        assert six.id not in answer.payload
        modern = peer.ask(to, bodied(name=name, args=[six.id], v=1)[32:])
        assert six.contact.packed in modern.payload
    assert four.id in peer.ask(to, bodied(name="findnode", args=[six.id])[32:]).payload


def test_a_spoofed_or_silent_sender_enters_no_table(make_node: Make, make_peer: MakePeer) -> None:
    node, peer = make_node(), make_peer()
    silent = [make_peer() for _ in range(10)]
    for one in silent:
        one.request(node.contact.endpoint, protocol.encode_call(b"ping", b"", False))
    assert peer.is_served_by(node.contact.endpoint)
    until(lambda: not node._liveliness._probes)
    assert {contact.id for contact in node.table} <= {peer.id}


def test_its_own_id_from_elsewhere_is_dropped(make_node: Make, make_peer: MakePeer) -> None:
    node = make_node()
    mirror = make_peer(node_id=node.id)
    mirror.request(node.contact.endpoint, protocol.encode_call(b"ping", b"", False))
    until(lambda: node.stats()["dropped"] == {"own id": 1})
    assert len(node.table) == 0


def corpus() -> list[bytes]:
    """Recorded packets of the original, and some of ours."""
    packets = []
    for name in ("lua-answers.jsonl", "lua-exchanges.jsonl"):
        for line in (GOLDEN / name).read_text().splitlines():
            row = json.loads(line)
            packets += [bytes.fromhex(row[side]) for side in ("request", "response") if row[side]]
    return packets + [datagram for datagram, _ in DROPPED.values()]


def mutate(rng: random.Random, packets: list[bytes]) -> bytes:
    data = bytearray(rng.choice(packets))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if data:
                data[at % len(data)] = rng.randrange(256)
            case 1:
                data[at:at] = rng.randbytes(rng.randrange(8))
            case 2:
                del data[at : at + rng.randrange(16)]
            case 3:
                data[at:at] = rng.choice([b"l", b"d", b"e", b"i-0e", b"99999999:", b"0:", b"le"])
            case 4:
                other = rng.choice(packets)
                data[at:] = other[at:]
    if len(data) >= 32 and rng.random() < 0.7:  # past the first door
        data[0] = 1
        data[30:32] = min(len(data) - 32, 65_535).to_bytes(2, "big")
    return bytes(data)


def test_twenty_thousand_mutated_datagrams(
    make_network: Callable[..., list[Node]], make_peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = make_network(4, params=Params(max_entries=500))
    target, peer = nodes[1], make_peer()
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    rng, packets = random.Random(seed), corpus()
    for _ in range(200):
        for _ in range(100):
            peer.send(mutate(rng, packets), target.contact.endpoint)
        gevent.sleep(0)
        assert peer.is_served_by(target.contact.endpoint)
    stats = target.stats()
    assert stats["packets_in"] > 20_000
    assert {"not bencoded", "bad request", "cut", "unasked response"} <= set(stats["dropped"])
    # No handler and no reader stumbled in a way that nobody had thought of.
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(target.datastore) <= 500
    known = {node.id for node in nodes} | {peer.id}
    assert {contact.id for contact in target.table} <= known
    nodes[2].add(KEY, b"v")
    assert nodes[3].find_value(KEY)


def test_a_response_packet_needs_no_length_for_an_error() -> None:
    decoded = protocol.decode(packet(call=130)[:30])
    assert isinstance(decoded, Response)
    assert decoded.call == 130


def test_contacts_are_addresses_and_never_names() -> None:
    for addr in ("localhost", "127.1", "1.2.3.4.5", "", "::g", "1.2.3.4\0"):
        with pytest.raises(ValueError, match="IP address"):
            Contact(addr, 80, KEY)
