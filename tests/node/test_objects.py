"""Objects in a network: stored, read, published, with nodes that fail or lie."""

from __future__ import annotations

import io
import random

import gevent
import pytest
from gevent.event import Event

from kademlua import (
    BlockMissing,
    Node,
    NodeClosed,
    ObjectNotFound,
    ObjectRefused,
    ObjectReport,
    Params,
    PublishedObject,
    sha1,
)
from kademlua.core.wire import bencoding, replies
from kademlua.core.wire.packets import Request
from kademlua.simulation.network.conditions import NetworkConditions
from kademlua.simulation.network.latency import ConstantLatency
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.rng_streams import RngStreams
from tests.support.peers import ScriptedPeer
from tests.support.world import World

CONTENT = random.Random(2).randbytes(300_000)
FEW = Params(replicas=4)


def test_object(world: World) -> None:
    nodes = world.network(12)
    key = nodes[0].put_object(CONTENT)
    assert isinstance(key, bytes)
    with nodes[5].open_object(key) as reader:
        assert reader.size == len(CONTENT)
        assert reader.read() == CONTENT
        reader.seek(123_456)
        assert reader.read(10) == CONTENT[123_456:123_466]


@pytest.mark.parametrize("size", [0, 5, 14_336, 14_337])
def test_small_objects(world: World, size: int) -> None:
    nodes = world.network(3)
    key = nodes[0].put_object(io.BytesIO(CONTENT[:size]))
    assert nodes[1].open_object(key).read() == CONTENT[:size]


def test_object_of_a_client(world: World) -> None:
    nodes = world.network(12, params=FEW)
    client = world.node(nodes[0], read_only=True, params=FEW)
    assert client.wait_joined(30)
    reports: list[ObjectReport] = []
    key = client.put_object(CONTENT, ttl=100, on_progress=reports.append)
    assert reports[-1].stored_bytes == len(CONTENT)
    assert reports[-1].fewest_replicas == 4
    assert reports[-1].refusals == {}
    assert client.open_object(key).read() == CONTENT
    gevent.sleep(130)
    assert all(len(node.datastore) == 0 for node in nodes)
    with pytest.raises(ObjectNotFound, match=f"no node has an object {key.hex()}"):
        client.open_object(key)


def test_equal_content_is_stored_once(world: World) -> None:
    nodes = world.network(3)
    nodes[0].put_object(CONTENT)
    count = len(nodes[1].datastore)
    nodes[2].put_object(CONTENT)
    assert len(nodes[1].datastore) == count
    nodes[2].put_object(CONTENT + b"more")
    assert len(nodes[1].datastore) == count + 2  # the last block, and the root


def test_small_blocks_need_no_fragments(world: World) -> None:
    nodes = world.network(3)
    key = nodes[0].put_object(CONTENT[:50_000], block_bytes=1024)
    assert nodes[1].open_object(key).read() == CONTENT[:50_000]
    store = nodes[2].datastore
    entries = [entry for each in list(store.keys()) for _, entry in store.entries(each)]
    assert max(len(entry.encoded) for entry in entries) < 1_150


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"block_bytes": 100}, "a block has 512 to"),
        ({"block_bytes": 15_000}, "does not fit into a value, which has at most 15,000"),
        ({"ttl": -1}, "a TTL is 1s to"),
    ],
)
def test_wrong_options(world: World, options: dict[str, float], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        world.alice.put_object(b"x", **options)  # type: ignore[arg-type]


def test_wrong_arguments(world: World) -> None:
    with pytest.raises(TypeError, match="bytes or a binary stream"):
        world.alice.put_object("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a key has 20 bytes"):
        world.alice.open_object(b"short")


# Nodes that are gone, full, or lie.


def test_half_of_the_nodes_vanish(world: World) -> None:
    nodes = world.network(30, params=Params(replicas=8))
    key = nodes[0].put_object(CONTENT)
    for node in nodes[10:25]:
        node.close(hand_over=False)
    assert nodes[1].open_object(key).read() == CONTENT


def test_missing_block_is_named(world: World) -> None:
    nodes = world.network(5)
    key = nodes[0].put_object(CONTENT)
    block = sha1(bencoding.encode(CONTENT[5 * 14_336 : 6 * 14_336]))
    for node in nodes:
        for owner in node.datastore.owners(block):
            node.datastore.remove(block, owner)
    with nodes[1].open_object(key) as reader:
        assert reader.read() == CONTENT[: 5 * 14_336]
        with pytest.raises(BlockMissing, match="which holds byte 71,680"):
            reader.read(1)
        reader.seek(6 * 14_336)
        assert reader.read() == CONTENT[6 * 14_336 :]


def test_changed_bit_is_detected_and_another_holder_asked(world: World) -> None:
    nodes = world.network(6)
    key = nodes[0].put_object(CONTENT)
    block = sha1(bencoding.encode(CONTENT[:14_336]))
    changed = bytearray(CONTENT[:14_336])
    changed[7_000] ^= 1
    liar = world.peer(block[:-1] + bytes([block[-1] ^ 1]))  # the closest node of all
    liar.serve(lambda request: _lie(liar, request, bytes(changed)))
    reader = world.node(nodes[0], liar.contact.endpoint, read_only=True)
    assert reader.wait_joined(30)
    assert reader.open_object(key).read() == CONTENT
    assert any(request.name == b"findvalue" for request in liar.requests)
    assert reader.stats()["rejected_records"]["not the value of its key"] > 0


def _lie(peer: ScriptedPeer, request: Request, value: bytes) -> bytes:
    if request.name == b"ping":
        return replies.PONG
    if request.name == b"findvalue":
        return replies.encode_findvalue_reply([], [bencoding.encode(value)], 1)
    return b"ld7:closest0:ee"


def test_full_network_refuses_and_says_how_much_was_stored(world: World) -> None:
    nodes = world.network(4, params=Params(max_stored_bytes=160_000))
    client = world.node(nodes[0], read_only=True)
    assert client.wait_joined(30)
    with pytest.raises(ObjectRefused, match="blocks were stored, then no node stored") as raised:
        client.put_object(CONTENT)
    report = raised.value.report
    assert 50_000 < report.stored_bytes < 200_000
    assert report.refusals["no room for more bytes"] > 0


def test_interrupted_put_goes_on(world: World) -> None:
    nodes = world.network(6)
    content = random.Random(3).randbytes(700_000)
    whole = io.BytesIO(content)

    class Interrupted:
        def read(self, size: int, /) -> bytes:
            if whole.tell() > 600_000:
                raise OSError("interrupted")
            return whole.read(20_000)

    with pytest.raises(OSError, match="interrupted"):
        nodes[0].put_object(Interrupted())
    reports: list[ObjectReport] = []
    key = nodes[0].put_object(content, skip_stored=True, on_progress=reports.append)
    assert nodes[1].open_object(key).read() == content
    assert reports[-1].found_blocks >= 5
    assert reports[-1].stored_bytes == len(content)


def test_closed_node(world: World) -> None:
    nodes = world.network(3)
    reader = nodes[1].open_object(nodes[0].put_object(CONTENT))
    nodes[1].close()
    with pytest.raises(NodeClosed):
        reader.read()
    with pytest.raises(NodeClosed):
        nodes[1].put_object(CONTENT)


# Publishing.


def test_published_object_outlives_its_ttl(world: World) -> None:
    nodes = world.network(4, params=Params(replication_bytes_per_second=1_000_000))
    key = nodes[0].put_object(CONTENT, ttl=200, publish=True)
    assert nodes[0].published_objects() == [PublishedObject(key, len(CONTENT), 200)]
    gevent.sleep(1_000)
    assert nodes[1].open_object(key).read() == CONTENT
    assert nodes[0].unpublish_object(key)
    assert not nodes[0].unpublish_object(key)
    assert nodes[0].published() == []
    gevent.sleep(300)
    with pytest.raises(ObjectNotFound):
        nodes[1].open_object(key)


def test_another_node_publishes_what_it_reads(world: World) -> None:
    nodes = world.network(4)
    key = nodes[0].put_object(CONTENT, ttl=300, block_bytes=10_000)
    nodes[1].publish_object(key, ttl=600)
    assert nodes[1].published_objects() == [PublishedObject(key, len(CONTENT), 600)]


def test_shared_blocks_stay_published(world: World) -> None:
    node = world.network(2)[0]
    first = node.put_object(CONTENT, publish=True)
    keys = {each.key for each in node.published()}
    second = node.put_object(CONTENT + b"more", publish=True)
    assert node.unpublish_object(second)
    assert {each.key for each in node.published()} == keys
    assert node.unpublish_object(first)
    assert node.published() == []


class PausedSource:
    """Content whose end, or an error in its place, comes after ``go_on``."""

    def __init__(self, *, fails: bool = False) -> None:
        self._content = io.BytesIO(CONTENT)
        self._fails = fails
        self._may_end = Event()
        self.go_on = self._may_end.set

    def read(self, size: int = -1, /) -> bytes:
        data = self._content.read(size)
        if not data:
            self._may_end.wait()
            if self._fails:
                raise OSError("the disk failed")
        return data


def test_failed_object_leaves_the_blocks_of_one_that_is_published_meanwhile(world: World) -> None:
    nodes = world.network(2)
    nodes[1].put_object(CONTENT, publish=True)
    failing, going_on = PausedSource(fails=True), PausedSource()
    calls = [gevent.spawn(nodes[0].put_object, each, publish=True) for each in (failing, going_on)]
    gevent.sleep(30)
    failing.go_on()
    with pytest.raises(OSError, match="the disk failed"):
        calls[0].get()
    going_on.go_on()
    key = calls[1].get()
    assert published_keys(nodes[0]) == published_keys(nodes[1])
    assert nodes[0].unpublish_object(key)
    assert nodes[0].published() == []


@pytest.mark.parametrize("fails", [False, True])
def test_unpublished_object_leaves_blocks_of_one_that_is_published_meanwhile(
    world: World, *, fails: bool
) -> None:
    node = world.network(2)[0]
    first = node.put_object(CONTENT[:100_000], publish=True)
    source = PausedSource(fails=fails)
    call = gevent.spawn(node.put_object, source, publish=True)
    gevent.sleep(30)
    assert node.unpublish_object(first)
    source.go_on()
    call.join()
    assert len(node.published()) == (0 if fails else 22)


def published_keys(node: Node) -> set[bytes]:
    return {each.key for each in node.published()}


def test_refused_object_is_not_published(world: World) -> None:
    nodes = world.network(3, params=Params(max_stored_bytes=160_000))
    kept = nodes[0].put_object(CONTENT[:20_000], publish=True)
    with pytest.raises(ObjectRefused):
        nodes[0].put_object(CONTENT, publish=True)
    assert [each.key for each in nodes[0].published_objects()] == [kept]
    assert len(nodes[0].published()) == 3


# Slow links.


def test_link_that_is_slower_than_the_node(world: World) -> None:
    """At 10 Mbit/s, the blocks of a full window would not fit into the queue of the link."""
    conditions = NetworkConditions(bandwidth=1_250_000, queue=500_000)
    content = random.Random(7).randbytes(900_000)
    world.net = VirtualNetwork(RngStreams(1), ConstantLatency(0.05), conditions)
    nodes = world.network(20, params=Params(replicas=8))
    reports: list[ObjectReport] = []
    key = nodes[0].put_object(content, on_progress=reports.append)
    assert reports[-1].fewest_replicas is not None
    assert reports[-1].fewest_replicas >= 4
    assert nodes[1].open_object(key).read() == content
