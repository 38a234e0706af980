"""Watches against peers that lie, values that do not fit, and programs in a hurry."""

from __future__ import annotations

import tracemalloc
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import Contact, ContactPool, Node, Params, RpcFailed, SigningKey, sha1
from kademlua.core.contact import Endpoint
from kademlua.core.errors import WireError
from kademlua.core.ids import to_int
from kademlua.core.watch.snapshot import HeldValue, digest
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from kademlua.core.wire.replies import PONG
from kademlua.core.wire.watch_messages import (
    NOT_WATCHED,
    SECRET_BYTES,
    KeyState,
    decode_watch_reply,
    encode_changed_args,
    encode_state,
    encode_watch_args,
    encode_watch_reply,
)
from kademlua.node.watch_iterators import Watch
from kademlua.simulation.network.conditions import NetworkConditions
from tests.support.world import World

KEY = sha1("config")
NO_SECRET = bytes(SECRET_BYTES)


def network(world: World, count: int = 30) -> list[Node]:
    return world.network(count, params=Params(replicas=8))


def drain(watch: Watch, seconds: float = 2.0) -> list[tuple[str, object]]:
    """The kinds and values of all changes within some seconds."""
    found = []
    while (change := watch.next(seconds)) is not None:
        found.append((change.kind.value, change.value))
    return found


def by_distance(nodes: list[Node]) -> list[Node]:
    """The nodes in the order in which they are replicas of the key."""
    return sorted(nodes, key=lambda node: to_int(node.id) ^ to_int(KEY))


def nested(levels: int) -> object:
    value: object = []
    for _ in range(levels - 1):
        value = [value]
    return value


# Values of others do not hide changes.


@pytest.mark.parametrize(
    "obstacles",
    [
        pytest.param([nested(61)], id="nested as deeply as a store permits"),
        pytest.param([[1] * 470, [2] * 470], id="more tokens than a reply may have"),
        pytest.param([b"x" * 14_000] * 4, id="more bytes than a reply may have"),
        pytest.param([b"%d" % number for number in range(200)], id="very many"),
    ],
)
def test_values_that_fit_no_reply_do_not_hide_a_change(
    world: World, obstacles: list[object]
) -> None:
    nodes = by_distance(network(world))
    for value in obstacles:
        client = world.node(nodes[0], read_only=True, params=Params(replicas=8))
        client.wait_joined(30)
        client.add(KEY, value)
        client.close()
    watch = nodes[20].watch(KEY)
    drain(watch)
    nodes[3].add(KEY, b"news")
    assert ("added", b"news") in drain(watch)
    nodes[3].add(KEY, b"more news")
    assert ("replaced", b"more news") in drain(watch)


# Watching again.


@pytest.mark.parametrize("rank", [0, 20])
@pytest.mark.parametrize("pause", [0, 0.05, 0.1, 0.15, 0.25])
def test_watch_that_begins_while_another_ends_is_told_of_changes(
    world: World, rank: int, pause: float
) -> None:
    """Also if this node is a holder itself, of rank 0."""
    nodes = by_distance(network(world))
    reader = nodes[rank]
    first = reader.watch(KEY)
    gevent.sleep(pause)
    first.close()
    gevent.sleep(0)
    with reader.watch(KEY) as watch:
        drain(watch)
        leases = sum(node.services.lease_holder.lease_count for node in nodes)
        assert leases == 3
        nodes[15].add(KEY, b"news")
        assert drain(watch) == [("added", b"news")]
        for node in nodes[1:4]:
            node.close(hand_over=False)
        if rank == 0:  # now only this node knows
            nodes[15].add(KEY, b"more news")
            assert drain(watch) == [("replaced", b"more news")]
    gevent.sleep(5)
    assert sum(node.services.lease_holder.lease_count for node in nodes if not node.closed) == 0


@pytest.mark.parametrize("pause", [0.05 * number for number in range(10)])
def test_watch_that_ends_while_it_begins_keeps_no_lease(world: World, pause: float) -> None:
    nodes = by_distance(network(world))
    watch = nodes[20].watch(KEY)
    gevent.sleep(pause)
    watch.close()
    gevent.sleep(5)
    assert sum(node.services.lease_holder.lease_count for node in nodes) == 0


# Holders.


def test_watch_without_a_lease_leaves_nothing_behind(world: World) -> None:
    nodes = network(world, 2)
    holder, peer = nodes
    for number in range(50):
        peer.add(sha1(str(number)), b"v", ttl=5)
        args = encode_watch_args(sha1(str(number)), 0, b"", b"", NO_SECRET)
        peer.services.client.call(holder.contact.endpoint, holder.contact, "watch", args)
    gevent.sleep(20)
    assert holder.services.lease_holder.lease_count == 0
    assert holder.services.lease_holder.tracked_key_count == 0


def test_node_that_is_closing_grants_no_lease(world: World) -> None:
    nodes = network(world, 3)
    nodes[0].services.lease_holder.close()
    args = encode_watch_args(KEY, 300, b"", b"", NO_SECRET)
    contact = nodes[0].contact
    nodes[1].services.client.call(contact.endpoint, contact, "watch", args)
    assert nodes[0].services.lease_holder.lease_count == 0


class LyingHolder:
    """A node at which another one watches, and which knows the secret of the lease."""

    def __init__(self, world: World, reader: Node, nodes: list[Node]) -> None:
        self._reader = reader
        self._secrets: dict[Endpoint, bytes] = {}
        world.net.set_observer(self._note_secret)
        self.watch = reader.watch(KEY)
        drain(self.watch)
        self.node = next(node for node in nodes if node.contact.endpoint in self._secrets)
        self.secret = self._secrets[self.node.contact.endpoint]

    def _note_secret(
        self, at: float, source: Endpoint, to: Endpoint, datagram: bytes, outcome: str
    ) -> None:
        packet = packets.decode(datagram)
        if isinstance(packet, Request) and packet.name == b"watch":
            self._secrets[to] = packet.args[4]

    def notify(self, secret: bytes, encoded_state: bytes) -> list[Any]:
        """Send a notification, and return the result."""
        args = encode_changed_args(KEY, secret, encoded_state)
        contact = self._reader.contact
        return self.node.services.client.call(contact.endpoint, contact, "changed", args)[1]


def test_notifications_without_values_cause_one_call_at_a_time(world: World) -> None:
    nodes = network(world)
    reader = nodes[20]
    holder = LyingHolder(world, reader, nodes)
    before = reader.stats()["calls_by_rpc"]["watch"]
    state = encode_state(KeyState(bytes(8), None), world.now, 0)
    greenlets = [gevent.spawn(holder.notify, holder.secret, state) for _ in range(500)]
    gevent.joinall(greenlets)
    assert all(each.value == [1] for each in greenlets)
    gevent.sleep(5)
    assert 1 <= reader.stats()["calls_by_rpc"]["watch"] - before <= 3
    nodes[3].add(KEY, b"news")
    assert drain(holder.watch) == [("added", b"news")]


DIGEST = b"6:digest8:digest-8"
OWNER = b"26:" + b"o" * 20 + bytes((30, 0, 0, 1, 15, 160))
MALFORMED_STATES = [
    b"le",
    b"i1e",
    b"de",
    b"d6:digest7:seven-b6:valueslee",
    b"d6:digesti1e6:valueslee",
    b"d" + DIGEST + b"5:lease1:x6:valueslee",
    b"d" + DIGEST + b"6:valuesdee",
    b"d" + DIGEST + b"6:valuesi1ee",
    b"d" + DIGEST + b"6:valuesli1eee",
    b"d" + DIGEST + b"6:valuesl" + b"le" * 200 + b"ee",
    b"d" + DIGEST + b"6:valuesll" + OWNER + b"i0ei9eeee",
    b"d" + DIGEST + b"6:valuesll" + OWNER + b"i-1ei9e1:veee",
    b"d" + DIGEST + b"6:valuesll" + OWNER + b"i0ei-9e1:veee",
    b"d" + DIGEST + b"6:valuesll" + OWNER + b"i9223372036854775808ei9e1:veee",
    b"d" + DIGEST + b"6:valuesll" + OWNER + b"i0ei4294967296e1:veee",
    b"d" + DIGEST + b"6:valuesll" + OWNER + b"1:0i9e1:veee",
    b"d" + DIGEST + b"6:valuesll25:" + b"o" * 25 + b"i0ei9e1:veee",
    b"d" + DIGEST + b"6:valuesll26:" + b"o" * 24 + b"\0\0i0ei9e1:veee",  # port 0
    b"d" + DIGEST + b"6:valueslllei0ei9e1:veee",
]


@pytest.mark.parametrize("state", MALFORMED_STATES)
def test_malformed_notification_is_refused_and_counted(world: World, state: bytes) -> None:
    nodes = network(world, 12)
    reader = by_distance(nodes)[-1]
    holder = LyingHolder(world, reader, nodes)
    with pytest.raises(RpcFailed, match="131"):
        holder.notify(holder.secret, state)
    assert reader.stats()["errors_out_by_rpc"]["changed"] == 1
    assert drain(holder.watch) == []
    nodes[3].add(KEY, b"news")
    assert drain(holder.watch) == [("added", b"news")]


def test_notification_without_the_secret_is_not_decoded(world: World) -> None:
    nodes = network(world, 12)
    reader = by_distance(nodes)[-1]
    holder = LyingHolder(world, reader, nodes)
    assert all(holder.notify(NO_SECRET, state) == [0] for state in MALFORMED_STATES)


def test_owner_with_several_values_in_a_report_has_the_last_one(world: World) -> None:
    nodes = network(world, 12)
    holder = LyingHolder(world, by_distance(nodes)[-1], nodes)
    rows = b"".join(b"l" + OWNER + b"i%dei99e1:%de" % (seq, seq) for seq in range(5))
    assert holder.notify(holder.secret, b"d" + DIGEST + b"6:valuesl" + rows + b"ee") == [1]
    assert drain(holder.watch) in ([], [("added", b"4")])


def test_value_that_is_larger_than_permitted_is_ignored(world: World) -> None:
    nodes = network(world, 12)
    holder = LyingHolder(world, by_distance(nodes)[-1], nodes)
    large = b"l" + OWNER + b"i1ei99e60000:" + bytes(60_000) + b"e"
    assert holder.notify(holder.secret, b"d" + DIGEST + b"6:valuesl" + large + b"ee") == [1]
    assert drain(holder.watch) == []


json_like = st.recursive(
    st.integers() | st.binary(max_size=40) | st.just(OWNER[3:]) | st.just(b"digest-8"),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from([b"digest", b"lease", b"values"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(values=st.lists(json_like, max_size=2))
def test_any_reply_to_a_watch_is_read_or_refused(values: list[Any]) -> None:
    try:
        state = decode_watch_reply(values, ContactPool(), 0.0)
    except WireError:
        return
    assert len(state.digest) == 8
    assert state.lease_seconds >= 0


def test_watcher_that_begins_again_during_a_notification_keeps_its_lease(world: World) -> None:
    [holder] = world.network(1)
    peer = world.peer()
    to = holder.contact.endpoint

    def watch(secret: bytes) -> None:
        args = encode_watch_args(KEY, 300, b"", b"", secret)
        peer.call(to, packets.encode_request_payload(b"watch", args, read_only=False))

    def notified(secret: bytes) -> Request:
        while True:
            packet = peer.receive()
            if isinstance(packet, Request) and packet.args[1:2] == [secret]:
                return packet
            if isinstance(packet, Request) and packet.name == b"ping":
                peer.send(packets.encode_response(peer.id, packet.rpc_id, PONG), to)

    watch(b"first--1")
    holder.add(KEY, b"one")
    first = notified(b"first--1")
    watch(b"second-2")  # the program of the watcher was started again
    peer.send(packets.encode_response(peer.id, first.rpc_id, NOT_WATCHED), to)
    gevent.sleep(1)
    holder.add(KEY, b"two")
    assert notified(b"second-2")


def test_memory_of_a_watch_does_not_grow_with_the_versions_of_a_record(world: World) -> None:
    nodes = network(world, 4)
    key = SigningKey(b"k" * 32)
    address = nodes[0].put_signed(b"begin", key).key
    with nodes[1].watch(address) as watch:
        drain(watch)

        def put(versions: int) -> None:
            for number in range(versions):
                nodes[0].put_signed(b"%d" % number + bytes(10_000), key)
                assert len(drain(watch, 1)) == 1

        put(20)
        tracemalloc.start()
        try:
            put(150)
            grown, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert grown < 1_000_000


def test_change_costs_a_holder_one_look_at_its_values_for_all_watchers(world: World) -> None:
    nodes = by_distance(network(world))
    holder = nodes[0]
    watches = [node.watch(KEY) for node in nodes[9:]]
    gevent.sleep(5)
    looks: list[int] = []
    holder.services.lease_holder.watch_locally(KEY, lambda values: looks.append(len(values)))
    world.net.conditions = NetworkConditions(jitter=0.05)
    nodes[5].add(KEY, b"v")
    assert all(drain(watch) == [("added", b"v")] for watch in watches)
    assert looks == [1]
    holder.services.lease_holder.end_local(KEY)


def test_client_grants_no_lease(world: World) -> None:
    nodes = network(world, 3)
    client = world.node(nodes[0], read_only=True)
    client.wait_joined(30)
    contact = client.contact
    args = encode_watch_args(KEY, 300, b"", b"", NO_SECRET)
    nodes[1].services.client.call(contact.endpoint, contact, "watch", args)
    assert client.services.lease_holder.lease_count == 0


class OvertakingHolder:
    """A holder whose replies to ``watch`` take a second, so that notifications overtake them."""

    def __init__(self, world: World, watcher: Endpoint) -> None:
        self._peer = world.peer(KEY)
        self.contact = self._peer.contact
        self.values: list[HeldValue] = []
        self.watches = 0
        self.secret = b""
        self._watcher = watcher
        self._peer.serve(self._reply)

    def _reply(self, request: Request) -> bytes | None:
        if request.name == b"ping":
            return PONG
        if request.name == b"findnode":
            return replies.encode_findnode_reply([], 1)
        if request.name == b"watch":
            self.watches += 1
            if request.args[1]:
                self.secret = request.args[4]
            state = KeyState(digest(self.values), list(self.values), request.args[1])
            payload = encode_watch_reply(state, 0.0, 1_000)
            gevent.spawn_later(1, self._send_reply, request, payload)
        return None

    def _send_reply(self, request: Request, payload: bytes) -> None:
        self._peer.send(
            packets.encode_response(self._peer.id, request.rpc_id, payload), self._watcher
        )

    def change(self, value: HeldValue, max_bytes: int) -> None:
        """Replace the value, and notify the watcher immediately; leave out a longer value."""
        self.values = [value]
        state = encode_state(KeyState(digest(self.values), self.values), 0.0, max_bytes)
        args = encode_changed_args(KEY, self.secret, state)
        request = packets.encode_request_payload(b"changed", args, read_only=False)
        self._peer.request(self._watcher, request)


@pytest.mark.parametrize("renewals", [0, 1])
@pytest.mark.parametrize("max_bytes", [0, 1_000])
def test_notification_that_overtakes_the_reply_to_a_watch_is_not_lost(
    world: World, renewals: int, max_bytes: int
) -> None:
    """Neither while the first lease is taken, nor while it is renewed."""
    reader = world.node(read_only=True)
    holder = OvertakingHolder(world, reader.contact.endpoint)
    reader.ping(holder.contact)
    with reader.watch(KEY) as watch:
        if renewals:
            assert drain(watch) == []
            while holder.watches == 1:  # until a renewal is on its way
                gevent.sleep(0.1)
        else:
            gevent.sleep(0.5)
        assert holder.watches == 1 + renewals
        owner = Contact("30.0.0.1", 4000, sha1("owner"))
        holder.change(HeldValue(owner, 1, b"4:news", 1e6), max_bytes)
        assert drain(watch, 3) == [("added", b"news")]
        assert holder.watches == 2 + renewals
