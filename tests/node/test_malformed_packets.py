"""What strangers may send: dropped and counted by reason, or answered as the original would;
the node lives on."""

import json
import os
import random
import struct

import bencoder
import gevent
import pytest

from kademlua import Contact, Params, sha1
from kademlua.core.wire import packets as protocol
from kademlua.core.wire.packets import Response
from tests.support.parts import probe_count
from tests.support.programs import ROOT
from tests.support.world import World

KEY = sha1("key")
GOLDEN = ROOT / "tests" / "golden"


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
    "cut in the payload": (packet(payload=b"d4:name", length=22), "truncated"),
    "version 2": (packet(version=2), "unknown version"),
    "short of version 2": (packet(version=2)[:30], "unknown version"),
    "call 7": (packet(call=7), "unknown packet type"),
    "no payload": (packet(), "not bencoded"),
    "not bencoded": (packet(payload=b"\xff" * 40), "not bencoded"),
    "16,000 lists": (packet(payload=b"l" * 16_000), "nested too deeply"),
    "16,000 lists, ended": (packet(payload=b"l" * 8_000 + b"e" * 8_000), "nested too deeply"),
    "4,000 dictionaries": (packet(payload=b"d1:a" * 4_000), "nested too deeply"),
    "too much": (packet(payload=b"d4:argsl16400:%be4:name4:pinge" % bytes(16_400)), "too large"),
    "too many lists": (
        packet(payload=b"d4:argsl%be4:name4:pinge" % (b"le" * 600)),
        "too many tokens",
    ),
    "a huge length": (packet(payload=b"9" * 20 + b":"), "not bencoded"),
    "a huge integer": (packet(payload=b"i" + b"9" * 16_000 + b"e"), "not bencoded"),
    "a loose integer": (packet(payload=b"d4:argsli 1ee4:name4:pinge"), "not bencoded"),
    "a repeated key": (packet(payload=b"d4:argsle4:name4:ping4:name4:pinge"), "not bencoded"),
    "a rest behind": (packet(payload=b"d4:argsle4:name4:pingexyz"), "not bencoded"),
    "no dictionary": (packet(payload=b"li5ee"), "bad request"),
    "no name": (packet(payload=b"d4:argslee"), "bad request"),
    "a name of the wrong type": (bodied(name=[b"ping"]), "bad request"),
    "no arguments": (packet(payload=b"d4:name4:pinge"), "bad request"),
    "arguments of the wrong type": (bodied(args=b"x"), "bad request"),
    "an unexpected response": (packet(call=129, payload=b"li5ee"), "unexpected response"),
    "an unexpected error response": (packet(call=131)[:30], "unexpected response"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_dropped_and_counted(name: str, world: World) -> None:
    datagram, reason = DROPPED[name]
    node, peer = world.alice, world.peer()
    for _ in range(3):
        peer.send(datagram, node.contact.endpoint)
    assert peer.ping_succeeds(node.contact.endpoint)
    assert node.stats()["dropped"] == {reason: 3}


ANSWERED = {
    "an RPC that is not there": ({"name": b"nothere"}, 130, b""),
    "a name that is no text": ({"name": b"\xff\0"}, 130, b""),
    "findvalue of no value with howmany of the wrong type": (
        {"name": b"findvalue", "args": [KEY, b"x"]},
        129,
        b"ld7:closestleee",
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
    "ping with a dictionary as arguments": ({"args": {b"a": 1}}, 129, b"li5ee"),
    "findnode with a dictionary as arguments": (
        {"name": b"findnode", "args": {KEY: KEY}},
        129,
        b"li0ee",
    ),
    "ping with a strange v and ro": ({"v": [], "ro": b"x"}, 129, b"li5ee"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_malformed_request_is_answered_as_in_v10(name: str, world: World) -> None:
    body, call, payload = ANSWERED[name]
    node, peer = world.alice, world.peer()
    response = peer.call(node.contact.endpoint, bodied(**body)[32:])
    assert (response.packet_type, response.payload) == (call, payload)
    assert not node.stats()["dropped"]


def test_a_spoofed_or_silent_sender_enters_no_table(world: World) -> None:
    node, peer = world.alice, world.peer()
    for one in [world.peer() for _ in range(10)]:
        one.request(
            node.contact.endpoint, protocol.encode_request_payload(b"ping", b"", read_only=False)
        )
    assert peer.ping_succeeds(node.contact.endpoint)
    gevent.sleep(5)
    assert probe_count(node) == 0
    assert node.stats()["calls_by_rpc"]["ping"] == 11  # each was asked once
    assert {contact.id for contact in node.table} <= {peer.id}


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


def test_twenty_thousand_mutated_datagrams(world: World, caplog: pytest.LogCaptureFixture) -> None:
    nodes = world.network(4, params=Params(max_entries=500))
    target, peer = nodes[1], world.peer()
    seed = int(os.environ.get("FUZZ_SEED", "1"))
    rng, packets = random.Random(seed), corpus()
    for _ in range(200):
        for _ in range(100):
            peer.send(mutate(rng, packets), target.contact.endpoint)
        assert peer.ping_succeeds(target.contact.endpoint)
    stats = target.stats()
    assert stats["packets_in"] > 20_000
    assert {"not bencoded", "bad request", "truncated", "unexpected response"} <= set(
        stats["dropped"]
    )
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
    assert decoded.packet_type == 130


def test_contacts_are_addresses_and_never_names() -> None:
    for addr in ("localhost", "127.1", "1.2.3.4.5", "", "::g", "1.2.3.4\0"):
        with pytest.raises(ValueError, match="IP address"):
            Contact(addr, 80, KEY)
