"""Objects that only holders of a secret can read."""

from __future__ import annotations

import asyncio
import io
import random

import gevent
import pytest

from kademlua import (
    AsyncNode,
    MalformedObject,
    ObjectNotFound,
    ObjectReport,
    PublishedObject,
    Secret,
    SigningKey,
    ThreadedNode,
)
from kademlua.core.contact import Endpoint
from kademlua.crypto.key_derivation import Purpose
from tests.support.world import World

SECRET, OTHER = Secret(b"s" * 32), Secret(b"o" * 32)
CONTENT = b"meet me under the oak " * 2_000
"""Four blocks, which are distinct."""
BLOCK = 14_336


def test_object_is_read_with_the_secret_only(world: World) -> None:
    writer, reader, *_ = world.network(6)
    key = writer.secret(SECRET).put_object(CONTENT)
    with reader.secret(SECRET).open_object(key) as opened:
        assert opened.size == len(CONTENT)
        assert opened.read() == CONTENT
        opened.seek(30_000)
        assert opened.read(10) == CONTENT[30_000:30_010]
    with pytest.raises(MalformedObject, match="not made with this secret"):
        reader.secret(OTHER).open_object(key)
    with pytest.raises(MalformedObject, match="no object"):
        reader.open_object(key)


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_sizes_at_the_edges_of_blocks(world: World, size: int) -> None:
    nodes = world.network(2)
    key = nodes[0].secret(SECRET).put_object(io.BytesIO(CONTENT[:size]))
    assert nodes[1].secret(SECRET).open_object(key).read() == CONTENT[:size]


def test_plain_object_is_none_with_a_secret(world: World) -> None:
    nodes = world.network(2)
    key = nodes[0].put_object(CONTENT)
    with pytest.raises(MalformedObject, match="not made with this secret"):
        nodes[1].secret(SECRET).open_object(key)


def test_neither_datagrams_nor_stores_contain_the_content(world: World) -> None:
    seen: list[bytes] = []
    nodes = world.network(4)
    world.net.set_observer(lambda at, source, to, datagram, outcome: seen.append(datagram))
    key = nodes[0].secret(SECRET).put_object(CONTENT)
    assert nodes[1].secret(SECRET).open_object(key).read() == CONTENT
    store = nodes[2].datastore
    seen += [entry.encoded for each in list(store.keys()) for _, entry in store.entries(each)]
    assert len(seen) > 20
    for hidden in (
        b"under the oak",
        b"object",
        b"content",
        SECRET.derive(Purpose.SECRET_OBJECTS, 64),
    ):
        assert not any(hidden in each for each in seen)


def test_holders_see_two_lengths_at_most(world: World) -> None:
    """All blocks are as long as a full one, the last one and those of keys, too."""
    nodes = world.network(3)
    nodes[0].secret(SECRET).put_object(CONTENT)
    store = nodes[2].datastore
    entries = [entry for each in list(store.keys()) for _, entry in store.entries(each)]
    blocks = [len(each.encoded) for each in entries if len(each.encoded) > 1_000]
    assert len(entries) == 5
    assert blocks == [14_870] * 4


def test_resumed_object_stores_what_is_missing(world: World) -> None:
    nodes = world.network(3)
    ours = nodes[0].secret(SECRET)
    ours.put_object(CONTENT[: 2 * BLOCK])
    reports: list[ObjectReport] = []
    ours.put_object(CONTENT, skip_stored=True, on_progress=reports.append)
    assert (reports[-1].found_blocks, reports[-1].stored_blocks) == (2, 3)
    assert reports[-1].stored_bytes == len(CONTENT)


def test_records_of_secrets_and_of_plain_objects_differ(world: World) -> None:
    nodes = world.network(2)
    keys = {
        nodes[0].put_object(CONTENT),
        nodes[0].secret(SECRET).put_object(CONTENT),
        nodes[0].secret(OTHER).put_object(CONTENT),
    }
    assert len(keys) == 3
    assert len(nodes[1].datastore) == 15
    assert nodes[1].secret(SECRET).put_object(CONTENT) in keys
    assert len(nodes[1].datastore) == 15


def test_block_of_a_reader_is_recognised(world: World) -> None:
    nodes = world.network(2)
    key = nodes[0].secret(SECRET).put_object(CONTENT)
    with nodes[1].secret(SECRET).open_object(key) as reader:
        assert reader.has_block(CONTENT[:BLOCK])
        assert not reader.has_block(CONTENT[1 : BLOCK + 1])
        reader.seek(3 * BLOCK)
        assert reader.has_block(CONTENT[3 * BLOCK :])


def test_published_object_is_renewed_until_it_is_unpublished(world: World) -> None:
    nodes = world.network(3)
    ours = nodes[0].secret(SECRET)
    key = ours.put_object(CONTENT, ttl=200, publish=True)
    shared = ours.put_object(CONTENT + b"more", ttl=200, publish=True)
    nodes[0].publish(bytes(20), 5)
    assert PublishedObject(key, len(CONTENT), 200) in ours.published_objects()
    assert nodes[0].secret(OTHER).published_objects() == nodes[0].published_objects() == []
    gevent.sleep(500)
    assert nodes[1].secret(SECRET).open_object(key).read() == CONTENT
    assert not nodes[0].unpublish_object(key)
    assert ours.unpublish_object(shared)
    assert [each.key for each in ours.published_objects()] == [key]
    assert ours.unpublish_object(key)
    assert [each.encoded for each in nodes[0].published()] == [b"i5e"]
    gevent.sleep(300)
    with pytest.raises(ObjectNotFound):
        nodes[1].secret(SECRET).open_object(key)


def test_another_holder_of_the_secret_publishes_what_it_reads(world: World) -> None:
    nodes = world.network(3)
    key = nodes[0].secret(SECRET).put_object(CONTENT, block_bytes=5_000)
    nodes[1].secret(SECRET).publish_object(key, ttl=600)
    assert nodes[1].secret(SECRET).published_objects() == [PublishedObject(key, len(CONTENT), 600)]


def test_name_of_an_object_is_secret(world: World) -> None:
    nodes, signer = world.network(3), SigningKey(b"k" * 32)
    key = nodes[0].secret(SECRET).put_object(b"x")
    nodes[0].secret(SECRET).name_object(key, signer, salt=b"diary")
    assert nodes[1].secret(SECRET).find_named_object(signer.public_key, b"diary") == key
    for other in (nodes[1], nodes[1].secret(OTHER)):
        with pytest.raises(ObjectNotFound):
            other.find_named_object(signer.public_key, b"diary")


def test_too_large_a_block_states_the_limit(world: World) -> None:
    node = world.network(2)[0]
    with pytest.raises(ValueError, match="does not fit into a value, which has at most 15,000"):
        node.secret(SECRET).put_object(CONTENT, block_bytes=14_900)


def test_bridges_have_the_same_operations() -> None:
    content = random.Random(1).randbytes(40_000)

    async def read(endpoint: Endpoint, key: bytes) -> bytes:
        async with AsyncNode(bootstrap=[endpoint]) as node:
            assert await node.secret(SECRET).put_object(io.BytesIO(content)) == key
            async with await node.secret(SECRET).open_object(key) as reader:
                assert reader.size == len(content)
                return bytes(await reader.read())

    with ThreadedNode() as threaded:
        key = threaded.secret(SECRET).put_object(io.BytesIO(content))
        with threaded.secret(SECRET).open_object(key) as reader:
            assert reader.read() == content
        assert asyncio.run(read(threaded.contact.endpoint, key)) == content
