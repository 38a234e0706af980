"""Watches at holders that grant no leases, such as those of version 1.0: they are polled."""

from __future__ import annotations

import gevent
import pytest

from kademlua import Node, Params, Secret, SigningKey, sha1
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.node.watch_iterators import Watch
from kademlua.values.watch.key_watcher import POLL_INTERVAL
from tests.support.original import OriginalPeer
from tests.support.world import World

KEY = sha1("config")
ONE_POLL = POLL_INTERVAL + 2


def drain(watch: Watch, seconds: float = ONE_POLL) -> list[tuple[str, object]]:
    """The kinds and values of all changes until there is none for some seconds."""
    found = []
    while (change := watch.next(seconds)) is not None:
        found.append((change.kind.value, change.value))
    return found


def near_key(number: int) -> bytes:
    return KEY[:-1] + bytes([KEY[-1] ^ number])


def originals_near_key(world: World, count: int = 25) -> list[OriginalPeer]:
    peers = [
        OriginalPeer(world.net.transport(f"10.1.0.{number}", 8001), near_key(number))
        for number in range(1, count + 1)
    ]
    for peer in peers:
        peer.table |= {each.contact for each in peers if each is not peer}
    return peers


def joined(world: World, peer: OriginalPeer, **settings: object) -> Node:
    node = world.node(peer.contact.endpoint, **settings)
    assert node.wait_joined(30)
    return node


@pytest.mark.parametrize("read_only", [False, True])
def test_changes_at_1_0_holders_are_seen_within_the_interval(
    world: World, *, read_only: bool
) -> None:
    originals = originals_near_key(world)
    reader, writer = (joined(world, originals[0], read_only=read_only) for _ in range(2))
    writer.add(KEY, b"one")
    with reader.watch(KEY) as watch:
        assert watch.next(5) == Change(ChangeKind.ADDED, None, b"one")  # 1.0 tells no owner
        assert drain(watch, 100) == []
        writer.add(KEY, b"two")
        assert watch.next(ONE_POLL) == Change(ChangeKind.REPLACED, None, b"two")
        for peer in originals:
            peer.hold(KEY, [b"of another owner"])
        assert drain(watch) == [("added", b"of another owner")]
        for peer in originals:
            peer.forget(KEY)
        assert sorted(drain(watch)) == [("removed", b"of another owner"), ("removed", b"two")]
        assert drain(reader.watch(KEY)) == []


def test_polled_records_are_verified(world: World) -> None:
    originals = originals_near_key(world)
    reader, writer = (joined(world, originals[0], read_only=True) for _ in range(2))
    signer = SigningKey(b"k" * 32)
    address = writer.put_signed(b"one", signer).key
    with reader.watch(address) as watch:
        [(kind, value)] = drain(watch)
        assert (kind, value[b"v"]) == ("added", b"one")  # type: ignore[index]
        for peer in originals:
            peer.hold(address, [b"forged"])
        assert drain(watch) == []
        writer.put_signed(b"two", signer)
        [(kind, value)] = drain(watch)
        assert (kind, value[b"v"]) == ("replaced", b"two")  # type: ignore[index]


def test_polled_secret_values_are_opened_and_others_left_out(world: World) -> None:
    pytest.importorskip("cryptography")
    secret = Secret(bytes(32))
    originals = originals_near_key(world)
    reader, writer = (joined(world, originals[0], read_only=True) for _ in range(2))
    writer.secret(secret).add(KEY, b"one")
    with reader.secret(secret).watch(KEY) as watch:
        assert drain(watch) == [("added", b"one")]
        for peer in originals:
            peer.hold(secret.blind_key(KEY), [b"forged"])
        assert drain(watch) == []
        writer.secret(secret).add(KEY, b"two")
        assert drain(watch) == [("replaced", b"two")]


def test_polling_goes_on_at_other_holders_when_some_vanish(world: World) -> None:
    originals = originals_near_key(world)
    reader, writer = (joined(world, originals[9], read_only=True) for _ in range(2))
    with reader.watch(KEY) as watch:
        assert drain(watch) == []
        for peer in originals[:3]:
            peer.close()
        assert drain(watch, 200) == []
        writer.add(KEY, b"news")
        assert drain(watch) == [("added", b"news")]


def test_leases_take_over_when_a_1_1_holder_joins(world: World) -> None:
    originals = originals_near_key(world)
    reader, writer = (joined(world, originals[0]) for _ in range(2))
    writer.add(KEY, b"one")
    watch = reader.watch(KEY)
    assert drain(watch) == [("added", b"one")]
    holder = joined(world, originals[0], id=near_key(0))
    for node in (reader, writer):
        node.ping(holder.contact)
    writer.add(KEY, b"one")
    assert drain(watch, 400) == []
    assert holder.services.lease_holder.lease_count == 1
    writer.add(KEY, b"two")
    assert watch.next(1) == Change(ChangeKind.REPLACED, writer.contact, b"two")
    holder.close(hand_over=False)
    assert drain(watch, 400) == []
    writer.add(KEY, b"three")
    assert drain(watch) == [("replaced", b"three")]


def test_changes_are_seen_although_no_holder_has_room_for_a_lease(world: World) -> None:
    nodes = world.network(30, params=Params(replicas=8))
    for node in nodes:
        node.services.lease_holder.close()
    reader = max(nodes, key=lambda node: int.from_bytes(node.id) ^ int.from_bytes(KEY))
    with reader.watch(KEY) as watch:
        gevent.sleep(1)
        nodes[3].add(KEY, b"one")
        assert drain(watch) == [("added", b"one")]
        nodes[3].add(KEY, b"two")
        assert drain(watch) == [("replaced", b"two")]
        nodes[3].remove(KEY)
        assert drain(watch) == [("removed", b"two")]


def test_polling_costs_few_bytes(world: World) -> None:
    originals = originals_near_key(world)
    reader = joined(world, originals[0], read_only=True)

    def sent_and_received(seconds: float) -> int:
        before = reader.stats()
        gevent.sleep(seconds)
        after = reader.stats()
        return sum(int(after[each] - before[each]) for each in ("bytes_in", "bytes_out"))

    gevent.sleep(600)
    idle = sent_and_received(3_600)
    with reader.watch(KEY):
        gevent.sleep(10)
        watching = sent_and_received(3_600)
    assert (watching - idle) / 3_600 <= 200
