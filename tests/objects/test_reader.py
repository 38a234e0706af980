"""Reading an object like a file."""

from __future__ import annotations

import io
import random

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua import BlockMissing, MalformedObject, ObjectNotFound
from kademlua.core.objects.tree import root_block
from kademlua.core.values.records import immutable_key
from kademlua.core.wire import bencoding
from tests.objects.stores import MemoryBlocks

BLOCK = 512
KEYS = BLOCK // 20


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


sizes = st.one_of(st.integers(0, 4 * BLOCK), st.integers(0, 40 * KEYS * BLOCK))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 5 * BLOCK)),
        st.tuples(st.just("seek"), st.integers(0, 60 * KEYS * BLOCK)),
        st.tuples(st.just("seek_end"), st.integers(-2 * BLOCK, 5)),
        st.tuples(st.just("seek_on"), st.integers(0, 3 * BLOCK)),
    ),
    max_size=12,
)


@given(sizes, steps)
def test_reads_like_a_file(size: int, steps: list[tuple[str, int]]) -> None:
    content = content_of(size)
    store = MemoryBlocks()
    file = io.BytesIO(content)
    with store.open(store.put(content)) as reader:
        assert reader.size == size
        for step, number in steps:
            if step == "read":
                assert reader.read(number) == file.read(number)
            elif step == "seek_end" and size + number >= 0:
                assert reader.seek(number, io.SEEK_END) == file.seek(number, io.SEEK_END)
            elif step == "seek_on":
                assert reader.seek(number, io.SEEK_CUR) == file.seek(number, io.SEEK_CUR)
            elif step == "seek":
                assert reader.seek(number) == file.seek(number)
            assert reader.tell() == file.tell()
        reader.seek(0)
        assert reader.read() == content


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, KEYS * BLOCK, KEYS * BLOCK + 1])
def test_whole_object(size: int) -> None:
    store = MemoryBlocks()
    assert store.open(store.put(content_of(size))).readall() == content_of(size)


def test_lines() -> None:
    store = MemoryBlocks()
    key = store.put(b"a line\n" * 1000)
    assert list(io.BufferedReader(store.open(key))) == [b"a line\n"] * 1000


def test_seek_reads_nothing() -> None:
    store = MemoryBlocks()
    reader = store.open(store.put(content_of(100 * BLOCK)))
    store.gets.clear()
    reader.seek(50 * BLOCK)
    assert store.gets == []
    reader.read(1)
    assert len(store.gets) == 2  # a block of keys, and one of content


def test_position_before_the_start() -> None:
    store = MemoryBlocks()
    with pytest.raises(ValueError, match="negative position -1"):
        store.open(store.put(b"abc")).seek(-1)


def test_reads_ahead_only_in_order() -> None:
    store = MemoryBlocks()
    reader = store.open(store.put(content_of(400 * BLOCK)))
    for position in (300, 100, 200):
        reader.seek(position * BLOCK)
        store.gets.clear()
        reader.read(BLOCK)
        assert len(store.gets) <= 2
    for _ in range(20):
        reader.read(BLOCK)
    assert len(store.gets) > 40
    assert len(store.gets) - len(set(store.gets)) <= 2  # blocks of keys


def test_repeated_blocks_are_fetched_together() -> None:
    store = MemoryBlocks()
    key = store.put(bytes(KEYS * BLOCK))
    store.gets.clear()
    assert store.open(key).readall() == bytes(KEYS * BLOCK)
    assert len(store.gets) < 8


def test_interrupted_read_moves_nothing() -> None:
    content = content_of(20 * BLOCK)
    store = MemoryBlocks()
    key = store.put(content)
    for turns in range(0, 80, 4):
        with store.open(key) as reader:
            assert reader.read(100) == content[:100]
            reading = gevent.spawn(reader.read)
            for _ in range(turns):
                gevent.sleep(0)
            reading.kill()
            if reading.value != content[100:]:  # it was interrupted
                assert reader.tell() == 100
                assert reader.read(BLOCK) == content[100 : 100 + BLOCK]
                assert reader.read() == content[100 + BLOCK :]


def test_read_after_an_interrupted_jump() -> None:
    content = content_of(20 * BLOCK)
    store = MemoryBlocks()
    with store.open(store.put(content)) as reader:
        reader.read(3 * BLOCK)  # blocks are requested in advance
        reader.seek(5 * BLOCK)
        reading = gevent.spawn(reader.read)
        gevent.sleep(0)
        reading.kill()
        reader.seek(3 * BLOCK)
        assert reader.read() == content[3 * BLOCK :]


def test_wrong_whence() -> None:
    store = MemoryBlocks()
    with store.open(store.put(b"x")) as reader, pytest.raises(ValueError, match="invalid whence"):
        reader.seek(0, 7)


def test_closed_reader() -> None:
    store = MemoryBlocks()
    reader = store.open(store.put(content_of(10 * BLOCK)))
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)


# What is missing, or wrong.


def test_no_object() -> None:
    with pytest.raises(ObjectNotFound, match="no node has an object 7878"):
        MemoryBlocks().open(b"x" * 20)
    with pytest.raises(KeyError):
        MemoryBlocks().open(b"x" * 20)


def test_record_that_is_no_object() -> None:
    store = MemoryBlocks()
    store.by_key[immutable_key(b"5:hello")] = b"5:hello"
    with pytest.raises(MalformedObject, match="the record is no object"):
        store.open(immutable_key(b"5:hello"))


def test_missing_block() -> None:
    store = MemoryBlocks()
    content = content_of(10 * BLOCK)
    key = store.put(content)
    seventh = bencoding.encode(content[6 * BLOCK : 7 * BLOCK])
    del store.by_key[immutable_key(seventh)]
    reader = store.open(key)
    assert reader.read(7 * BLOCK) == content[: 6 * BLOCK]
    for _ in range(2):
        with pytest.raises(BlockMissing, match="which holds byte 3,072") as raised:
            reader.read(1)
        assert raised.value.offset == 6 * BLOCK
    store.by_key[immutable_key(seventh)] = seventh  # its holder is back
    assert reader.read() == content[6 * BLOCK :]


def test_missing_block_of_keys() -> None:
    store = MemoryBlocks()
    content = content_of(3 * KEYS * BLOCK)
    root = store.put(content)
    reader = store.open(root)
    parents = bencoding.decode(store.by_key[root])[b"content"]
    del store.by_key[parents[20:40]]
    assert reader.read() == content[: KEYS * BLOCK]
    with pytest.raises(BlockMissing) as raised:
        reader.read(1)
    assert raised.value.offset == KEYS * BLOCK == reader.tell()


def test_block_of_another_size() -> None:
    """The author lies: the keys are right, but the blocks do not fit the root."""
    store = MemoryBlocks()
    blocks = [bencoding.encode(each) for each in (b"a" * BLOCK, b"b" * 3)]
    keys = b"".join(map(immutable_key, blocks))
    store.by_key = {immutable_key(each): each for each in blocks}
    root = root_block(BLOCK + 4, BLOCK, keys)
    store.by_key[root.key] = root.encoded
    reader = store.open(root.key)
    assert reader.read(BLOCK) == b"a" * BLOCK
    with pytest.raises(MalformedObject, match="block 1 of level 0 of the object is not 4 bytes"):
        reader.read(1)


def test_deepest_tree_ends_at_its_first_lie() -> None:
    store = MemoryBlocks()
    bomb = bencoding.encode(b"k" * (KEYS * 20))
    store.by_key[immutable_key(bomb)] = bomb
    # 12 levels are declared, and the only child names keys that no node has.
    root = root_block(1 << 62, BLOCK, immutable_key(bomb) * 4)
    store.by_key[root.key] = root.encoded
    reader = store.open(root.key)
    assert reader.size == 1 << 62
    with pytest.raises(BlockMissing):
        reader.read(1)
    assert len(store.gets) < 16


def test_has_block() -> None:
    store = MemoryBlocks()
    content = content_of(3 * BLOCK + 5)
    reader = store.open(store.put(content))
    store.gets.clear()
    assert reader.has_block(content[:BLOCK])
    assert not reader.has_block(content[: BLOCK - 1])
    reader.seek(3 * BLOCK)
    assert reader.has_block(content[3 * BLOCK :])
    assert store.gets == []  # the root has the keys
    small = store.open(store.put(b"small"))
    assert small.has_block(b"small")
    assert not small.has_block(b"large")
