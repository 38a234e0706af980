"""Private networks: peers without the key get no reply, and recordings are useless."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from kademlua import Node, Params, RpcFailed, RpcTimeout, sha1
from kademlua.core.contact import Endpoint
from kademlua.core.security.replay_protection import MAX_RETRIES, NO_TRAILER, TICKET_BYTES, TRAILER
from kademlua.core.wire import packets
from kademlua.crypto.datagram_cipher import OVERHEAD_BYTES, PADDED_UNIT, DatagramCipher
from kademlua.runtime.transport import Transport
from kademlua.simulation.network.conditions import NetworkConditions
from tests.support.peers import ScriptedPeer
from tests.support.world import RTT, World

OLD, NEW = b"o" * 32, b"n" * 32
PING = packets.encode_request_payload(b"ping", b"", read_only=False)
PONG = b"li5ee"


def keyed(world: World, *known: Node, key: bytes = OLD, **settings: Any) -> Node:
    return world.node(*known, network_keys=[key], **settings)


def spoofable(world: World, at: Endpoint) -> tuple[Node, Transport]:
    """A node, and its way out, by which the test can send from its address."""
    transport = world.net.transport(*at)
    return keyed(world, endpoint=at, transport=transport), transport


class Record:
    """All datagrams that were delivered, as somebody on the way records them."""

    def __init__(self, world: World) -> None:
        self.all: list[tuple[Endpoint, Endpoint, bytes]] = []
        world.net.set_observer(self._take)

    def _take(
        self, at: float, source: Endpoint, to: Endpoint, datagram: bytes, outcome: str
    ) -> None:
        if outcome == "delivered":
            self.all.append((source, to, datagram))

    def of_call(self, call: int, source: Node) -> list[bytes]:
        """Those of one kind that a node sent."""
        return [
            datagram
            for sender, _, datagram in self.all
            if sender == source.contact.endpoint and packet_type(datagram) == call
        ]


def receive(peer: ScriptedPeer) -> packets.Request:
    """The next request to a peer that has the old key."""
    packet = DatagramCipher([OLD]).open(peer.receive_datagram())
    assert packet is not None
    request = packets.decode(packet)
    assert isinstance(request, packets.Request)
    return request


def packet_type(datagram: bytes) -> int:
    """The kind of packet in a datagram of the old key."""
    packet = DatagramCipher([OLD]).open(datagram)
    assert packet is not None
    return packet[29]


def dropped(node: Node) -> dict[str, int]:
    found: dict[str, int] = node.stats()["dropped"]
    return found


def requests(node: Node) -> int:
    return sum(node.stats()["requests_by_rpc"].values())


# Who is heard.


def test_two_with_the_key_talk(world: World) -> None:
    alice, bob = keyed(world), keyed(world)
    assert alice.ping(bob.contact).contact == bob.contact
    assert bob.ping(alice.contact).contact == alice.contact
    with pytest.raises(RpcFailed, match="130"):
        alice.call(bob.contact, "no such")


def test_a_network_with_a_key_keeps_values(world: World) -> None:
    nodes = world.network(30, network_keys=[OLD])
    for number in range(20):
        report = nodes[number].add(sha1(f"key {number}"), number)
        assert len(report.acknowledged) == 20
    for number in range(20):
        found = nodes[-number].find_value(sha1(f"key {number}"), max_nodes=1)
        assert found[0].values == [number]
    assert sum(node.stats()["timeouts"] for node in nodes) == 0


@pytest.mark.parametrize("other", [{}, {"network_keys": [NEW]}])
def test_peer_with_another_key_gets_no_reply(world: World, other: dict[str, Any]) -> None:
    alice, stranger = keyed(world), world.node(**other)
    record = Record(world)
    with pytest.raises(RpcTimeout):
        stranger.ping(alice.contact)
    assert dropped(alice) == {"undecipherable": 1}
    with pytest.raises(RpcTimeout):
        alice.ping(stranger.contact)
    assert record.of_call(packets.REQUEST, alice)
    assert len(record.of_call(packets.RESPONSE, alice)) == 0
    assert len(record.of_call(packets.CHALLENGE, alice)) == 0
    assert len(alice.table) == 0


def test_two_networks_do_not_hear_each_other(world: World) -> None:
    ours = world.network(10, network_keys=[OLD])
    theirs = [world.node(ours[0], network_keys=[NEW])]
    theirs += [world.node(theirs[0], ours[3], network_keys=[NEW]) for _ in range(9)]
    assert all(node.wait_joined(30) for node in theirs[1:])
    ours[0].add(sha1("key"), "ours")
    theirs[1].add(sha1("key"), "theirs")
    gevent.sleep(100)
    for network, value in ((ours, b"ours"), (theirs, b"theirs")):
        members = {node.id for node in network}
        for node in network:
            assert {contact.id for contact in node.table} <= members
            assert [a.values for a in node.find_value(sha1("key"), max_nodes=1)] == [[value]]
    assert theirs[0].joined  # its bootstrap node is of the other network, but others joined by it


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"x",
        b"x" * 45,
        b"x" * 46,
        b"x" * 500,
        packets.encode_request(b"i" * 20, b"rpc-id-8", PING),
        packets.encode_request(b"i" * 20, b"rpc-id-8", PING) + bytes(32),
        DatagramCipher([NEW]).seal(
            packets.encode_request(b"i" * 20, b"rpc-id-8", PING) + NO_TRAILER
        ),
    ],
)
def test_datagram_made_without_the_key_is_dropped_unread(world: World, datagram: bytes) -> None:
    node, peer = keyed(world), world.peer()
    record = Record(world)
    peer.send(datagram, node.contact.endpoint)
    gevent.sleep(1)
    assert dropped(node) == {"undecipherable": 1}
    assert node.stats()["packets_in"] == 0
    assert [source for source, _, _ in record.all] == [peer.contact.endpoint]


@pytest.mark.parametrize(
    "body",
    [
        b"\x01" + b"i" * 28 + bytes([call]) + rest
        for call in (1, 129, 130, 132, 7)
        for rest in (b"", b"x" * 8, b"x" * 100)
    ],
)
def test_encrypted_garbage_is_dropped(world: World, body: bytes) -> None:
    node, peer = keyed(world), world.peer()
    record = Record(world)
    datagram = DatagramCipher([OLD]).seal(body)
    peer.send(datagram, node.contact.endpoint)
    gevent.sleep(1)
    assert sum(dropped(node).values()) == 1
    sent = [datagram for source, _, datagram in record.all if source == node.contact.endpoint]
    assert sum(map(len, sent)) < len(datagram)


def sent_by(record: Record, node: Node) -> list[bytes]:
    return [datagram for source, _, datagram in record.all if source == node.contact.endpoint]


@pytest.mark.parametrize("fault", ["unknown version", "own id", "short"])
def test_request_that_a_ticket_would_not_help_is_not_challenged(world: World, fault: str) -> None:
    node, peer = keyed(world), world.peer()
    request = packets.encode_request(node.id if fault == "own id" else b"i" * 20, b"rpc-id-8", PING)
    if fault == "unknown version":
        request = b"\x02" + request[1:]
    if fault == "short":
        request = request[:31]
    record = Record(world)
    peer.send(DatagramCipher([OLD]).seal(request + NO_TRAILER), node.contact.endpoint)
    gevent.sleep(1)
    assert dropped(node) == {fault: 1}
    assert sent_by(record, node) == []


def test_payload_does_not_extend_into_the_trailer(world: World) -> None:
    """A ping whose length counts the 16 bytes of ticket and counter, as a byte string."""
    node, peer = keyed(world), world.peer()
    cipher, to = DatagramCipher([OLD]), node.contact.endpoint
    start = b"d4:name4:ping4:argsl14:"
    request = packets.encode_request(b"i" * 20, b"rpc-id-8", start + bytes(16))
    peer.send(cipher.seal(request[:-16] + NO_TRAILER), to)
    gevent.sleep(1)
    [sealed] = peer.unread
    challenge = cipher.open(sealed)
    assert challenge is not None
    trailer = challenge[30:38] + (1 << 32).to_bytes(8)[:6] + b"ee"
    peer.send(cipher.seal(request[:-16] + trailer), to)
    gevent.sleep(1)
    assert dropped(node) == {"unproven": 1, "truncated": 1}
    assert requests(node) == 0


# Replay.


def test_the_first_request_takes_one_round_trip_more(world: World) -> None:
    alice, bob = keyed(world), keyed(world)
    assert alice.ping(bob.contact).rtt == pytest.approx(2 * RTT)
    assert dropped(bob) == {"unproven": 1}
    for _ in range(3):
        assert alice.ping(bob.contact).rtt == pytest.approx(RTT)
        assert bob.ping(alice.contact).rtt == pytest.approx(RTT)
    assert dropped(bob) == {"unproven": 1}
    assert dropped(alice) == {}


def test_simultaneous_first_requests_are_all_answered(world: World) -> None:
    alice, bob = keyed(world), keyed(world)
    pings = [gevent.spawn(alice.ping, bob.contact) for _ in range(100)]
    pings += [gevent.spawn(bob.ping, alice.contact) for _ in range(100)]
    gevent.joinall(pings, raise_error=True)
    assert alice.stats()["replies"] >= 100
    assert max(ping.value.rtt for ping in pings) <= 3 * RTT + 0.01


def test_recorded_datagrams_are_dropped_and_counted(world: World) -> None:
    alice, way_out = spoofable(world, ("10.1.0.1", 4000))
    bob = keyed(world)
    record = Record(world)
    served: list[bytes] = []
    bob.register("note", lambda sender, text: served.append(text))
    for number in range(100):
        alice.call(bob.contact, "note", b"%d" % number)
    recorded = record.of_call(packets.REQUEST, alice)
    assert len(recorded) > 100
    before, counted = len(served), requests(bob)
    for datagram in recorded:
        way_out.send(datagram, bob.contact.endpoint)
    gevent.sleep(1)
    assert len(served) == before == 100
    assert requests(bob) == counted
    # The first one showed no ticket: it is challenged once more, which nobody asked for.
    assert dropped(bob) == {"unproven": 2, "replayed": len(recorded) - 1}
    assert dropped(alice) == {"unexpected challenge": 1}


def test_recorded_answers_and_challenges_are_dropped(world: World) -> None:
    alice, _ = spoofable(world, ("10.1.0.1", 4000))
    bob, way_out = spoofable(world, ("10.1.0.2", 4000))
    record = Record(world)
    for _ in range(10):
        alice.ping(bob.contact)
    [challenge] = record.of_call(packets.CHALLENGE, bob)
    answers = record.of_call(packets.RESPONSE, bob)
    for datagram in (*answers, challenge, challenge):
        way_out.send(datagram, alice.contact.endpoint)
    gevent.sleep(1)
    assert dropped(alice) == {"unexpected response": 10, "unexpected challenge": 2}
    assert alice.ping(bob.contact).rtt == pytest.approx(RTT)


def test_recorded_request_is_refused_elsewhere(world: World) -> None:
    """From another address, or to another node, it brings forth less than itself."""
    alice, way_out = spoofable(world, ("10.1.0.1", 4000))
    bob, carol = keyed(world), keyed(world)
    thief = world.peer()
    record = Record(world)
    alice.ping(bob.contact)
    alice.ping(carol.contact)
    gevent.sleep(1)
    recorded = record.of_call(packets.REQUEST, alice)
    served = requests(bob) + requests(carol)
    record.all.clear()
    for datagram in recorded:
        thief.send(datagram, bob.contact.endpoint)
        way_out.send(datagram, carol.contact.endpoint)
    gevent.sleep(1)
    assert requests(bob) + requests(carol) == served
    assert {packet_type(datagram) for _, _, datagram in record.all} == {
        packets.REQUEST,
        packets.CHALLENGE,
    }
    for node in (bob, carol):
        assert sum(map(len, record.of_call(packets.CHALLENGE, node))) <= sum(map(len, recorded))


def test_recording_is_refused_after_a_restart(world: World) -> None:
    alice, way_out = spoofable(world, ("10.1.0.1", 4000))
    bob = keyed(world, endpoint=("10.1.0.2", 4000))
    record = Record(world)
    for _ in range(5):
        alice.ping(bob.contact)
    recorded = record.of_call(packets.REQUEST, alice)
    bob.close(hand_over=False)
    bob = keyed(world, endpoint=("10.1.0.2", 4000))
    for datagram in recorded:
        way_out.send(datagram, bob.contact.endpoint)
    gevent.sleep(1)
    assert requests(bob) == 0
    assert dropped(bob) == {"unproven": len(recorded)}


@pytest.mark.parametrize("asks_first", ["who stayed", "who restarted"])
def test_a_restarted_peer_recovers(world: World, asks_first: str) -> None:
    alice, at = keyed(world), ("10.1.0.2", 4000)
    bob = keyed(world, endpoint=at)
    alice.ping(bob.contact)
    bob.ping(alice.contact)
    bob.close(hand_over=False)
    bob = keyed(world, endpoint=at)
    pairs = [(alice, bob), (bob, alice)]
    for asker, asked in pairs if asks_first == "who stayed" else pairs[::-1]:
        assert asker.ping(asked.contact).rtt == pytest.approx(2 * RTT)
    for asker, asked in pairs:
        assert asker.ping(asked.contact).rtt == pytest.approx(RTT)


def test_a_challenge_that_is_sent_again_and_again_does_not_keep_a_request_going(
    world: World,
) -> None:
    """With new tickets, too, which a peer gives who was sent the request as often."""
    alice, peer = keyed(world), world.peer()
    cipher = DatagramCipher([OLD])
    caller = gevent.spawn(alice.call, peer.contact.endpoint, "ping")
    request = receive(peer)
    for number in range(20):
        body = packets.encode_error(peer.id, request.rpc_id, packets.CHALLENGE)
        body += b"%08d" % (number // 2)
        peer.send(cipher.seal(body), alice.contact.endpoint)
    gevent.sleep(RTT + 0.01)
    sent = alice.stats()["packets_out"]
    assert dropped(alice) == {"unexpected challenge": 20 - MAX_RETRIES}
    repeated = [receive(peer) for _ in range(MAX_RETRIES)]
    assert {packet.rpc_id for packet in repeated} == {request.rpc_id}
    assert sent == 1
    peer.send(
        cipher.seal(packets.encode_response(peer.id, request.rpc_id, PONG)),
        alice.contact.endpoint,
    )
    assert caller.get() == [5]


@pytest.mark.parametrize("what", ["elsewhere", "other rpc id", "short ticket", "long ticket"])
def test_a_challenge_counts_only_for_what_was_asked_there(world: World, what: str) -> None:
    alice, peer, other = keyed(world), world.peer(), world.peer()
    caller = gevent.spawn(alice.call, peer.contact.endpoint, "ping")
    request = receive(peer)
    rpc_id = b"rpc-id-8" if what == "other rpc id" else request.rpc_id
    sizes = {"short ticket": TICKET_BYTES - 1, "long ticket": TICKET_BYTES + 1}
    ticket = b"t" * sizes.get(what, TICKET_BYTES)
    body = packets.encode_error(peer.id, rpc_id, packets.CHALLENGE) + ticket
    sender = other if what == "elsewhere" else peer
    sender.send(DatagramCipher([OLD]).seal(body), alice.contact.endpoint)
    gevent.sleep(RTT)
    assert dropped(alice) == {"unexpected challenge": 1}
    caller.kill()


def test_challenge_restarts_the_reply_timeout(world: World) -> None:
    """A query's patience is of one round trip; the challenge's does not count."""
    network = world.network(20, network_keys=[OLD])
    gevent.sleep(300)
    late = world.node(network[0], network_keys=[OLD])
    assert late.wait_joined(30)
    repeated = late.stats()["retransmitted"]
    for number in range(20):
        late.find_node(sha1(f"{number}"))
    assert late.stats()["retransmitted"] == repeated == 0


# A network as it is.


@pytest.mark.parametrize(
    "conditions",
    [
        NetworkConditions(loss=0.1),
        NetworkConditions(reordering=0.3, jitter=0.02),
        NetworkConditions(duplication=0.3),
        NetworkConditions(loss=0.05, reordering=0.2, duplication=0.1, jitter=0.01),
    ],
    ids=["loss", "reordered", "twice", "all"],
)
def test_lossy_network_is_tolerated(world: World, conditions: NetworkConditions) -> None:
    world.net.conditions = conditions
    nodes = world.network(20, network_keys=[OLD], params=Params(replicas=8))
    for number in range(30):
        nodes[number % 20].add(sha1(f"key {number}"), number)
    found = 0
    for number in range(30):
        answers = nodes[(number + 7) % 20].find_value(sha1(f"key {number}"), max_nodes=1)
        found += bool(answers) and answers[0].values == [number]
    assert found == 30
    for node in nodes:
        # What came twice or late is dropped, and no more than that.
        assert dropped(node).keys() <= {
            "unproven",
            "not permitted",  # more than one retransmission before the first reply
            "replayed",
            "unexpected challenge",
            "unexpected response",
        }


def test_duplicate_request_is_served_once(world: World) -> None:
    alice, bob = keyed(world), keyed(world)
    alice.ping(bob.contact)
    world.net.conditions = NetworkConditions(duplication=1.0)
    for _ in range(20):
        alice.ping(bob.contact)
    gevent.sleep(1)
    assert bob.stats()["requests_by_rpc"] == {"ping": 21}
    assert dropped(bob)["replayed"] == 20


# Rotation.


def test_a_key_is_exchanged_without_an_outage(world: World) -> None:
    """Node by node: old; old and new; new and old; new. Each is closed and started anew, as a
    program does; the others find values all the while."""
    places = [(f"10.2.0.{number}", 4000) for number in range(1, 11)]
    ids = [sha1(f"node {number}") for number in range(10)]
    nodes = [
        world.node(*places[:number][:1], endpoint=at, id=ids[number], network_keys=[OLD])
        for number, at in enumerate(places)
    ]
    assert all(node.wait_joined(30) for node in nodes[1:])
    gevent.sleep(60)
    kept = 0
    for keys in ([OLD, NEW], [NEW, OLD], [NEW]):
        for number, at in enumerate(places):
            nodes[number].close()
            others = [each for each in places if each != at]
            nodes[number] = world.node(*others[:3], endpoint=at, id=ids[number], network_keys=keys)
            assert nodes[number].wait_joined(30)
            key = sha1(f"key {kept}")
            report = nodes[(number + 3) % 10].add(key, kept)
            assert len(report.acknowledged) == 10
            for asker in (number, (number + 1) % 10, (number + 6) % 10):
                assert nodes[asker].find_value(key, max_nodes=1)[0].values == [kept]
            kept += 1
    with pytest.raises(RpcTimeout):
        keyed(world, key=OLD).ping(nodes[0].contact)
    assert keyed(world, key=NEW).ping(nodes[0].contact).contact.id == ids[0]


def test_too_many_keys_or_none_that_is_one(world: World) -> None:
    with pytest.raises(ValueError, match="32 bytes, not 5"):
        world.unstarted_node(network_keys=[b"short"])
    with pytest.raises(TypeError, match="32 bytes, not str"):
        world.unstarted_node(network_keys=["k" * 32])
    with pytest.raises(ValueError, match="1 to 4 network keys, not 5"):
        world.unstarted_node(network_keys=[bytes([number]) * 32 for number in range(5)])


# On sockets.


def test_garbage_to_a_socket_gets_nothing(make_node: Callable[..., Node]) -> None:
    alice, bob = make_node(network_keys=[OLD]), make_node(network_keys=[OLD])
    request = packets.encode_request(b"i" * 20, b"rpc-id-8", PING)
    sent = [b"", b"x", b"x" * 1_400, b"x" * 60_000]
    sent += [request + bytes(size) for size in (0, 16, 32)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        for datagram in sent:
            sock.sendto(datagram, alice.contact.endpoint)
        # What came before this has been handled.
        assert bob.ping(alice.contact).contact == alice.contact
        with pytest.raises(BlockingIOError):
            sock.recv(65_536, socket.MSG_DONTWAIT)
    assert dropped(alice) == {"undecipherable": 7, "unproven": 1}


def test_a_network_on_sockets(make_network: Callable[..., list[Node]]) -> None:
    nodes = make_network(8, network_keys=[NEW, OLD])
    nodes[3].add(sha1("key"), b"value")
    assert nodes[5].find_value(sha1("key"), max_nodes=1)[0].values == [b"value"]


@pytest.mark.parametrize("size", [1_000, 60_000])
def test_large_packets(make_node: Callable[..., Node], size: int) -> None:
    alice, bob = make_node(network_keys=[OLD]), make_node(network_keys=[OLD])
    bob.register("echo", lambda sender, text: text)
    assert alice.call(bob.contact, "echo", b"x" * size) == [b"x" * size]


def test_sizes_are_those_of_the_document() -> None:
    assert (TRAILER.size, TICKET_BYTES, OVERHEAD_BYTES, PADDED_UNIT) == (16, 8, 42, 128)
