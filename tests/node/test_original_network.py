"""Objects, many keys, records and watches where all other nodes are of the original program."""

from __future__ import annotations

import random

from kademlua import Node, SigningKey, sha1
from kademlua.core.ids import random_id
from kademlua.core.watch.changes import ChangeKind
from kademlua.simulation.rng_streams import RngStreams
from tests.support.original import OriginalPeer
from tests.support.world import World

CONTENT = random.Random(2).randbytes(100_000)
KEY = sha1("key")


def clients_of_originals(world: World) -> tuple[Node, Node]:
    """Two clients of a network of originals, of which one writes and the other one reads."""
    rng = RngStreams(7).stream("originals", 0)
    peers = [
        OriginalPeer(world.net.transport(f"10.1.0.{number}", 8001), random_id(rng))
        for number in range(1, 6)
    ]
    for peer in peers:
        peer.table |= {each.contact for each in peers if each is not peer}
    clients = [world.node(peers[0].contact.endpoint, read_only=True) for _ in range(2)]
    assert all(client.wait_joined(30) for client in clients)
    return clients[0], clients[1]


def test_object(world: World) -> None:
    writer, reader = clients_of_originals(world)
    with reader.open_object(writer.put_object(CONTENT)) as file:
        assert file.read() == CONTENT


def test_many_keys(world: World) -> None:
    writer, reader = clients_of_originals(world)
    values = {sha1(f"{number}"): number for number in range(100)}
    stored = list(writer.add_many(values.items()))
    # The first original knows the other client, too.
    assert {len(each.report.acknowledged) for each in stored if each.report is not None} == {6}
    found = {each.key: each.answers[0].values for each in reader.find_many(values)}
    assert found == {key: [value] for key, value in values.items()}


def test_records(world: World) -> None:
    writer, reader = clients_of_originals(world)
    key = writer.put_immutable(b"fixed").key
    assert reader.get_immutable(key) == b"fixed"
    signer = SigningKey.generate()
    writer.put_signed(b"first", signer)
    writer.put_signed(b"second", signer)
    record = reader.get_signed(signer.public_key)
    assert record is not None
    assert record.value == b"second"


def test_watch(world: World) -> None:
    """It reads the key from time to time."""
    writer, reader = clients_of_originals(world)
    writer.add(KEY, b"old")
    with reader.watch(KEY) as watch:
        change = watch.next(60)
        assert change is not None
        assert (change.kind, change.value) == (ChangeKind.ADDED, b"old")
        writer.add(KEY, b"new")
        values = {each.value for _ in range(2) if (each := watch.next(60)) is not None}
        assert b"new" in values
