"""The tree of an object: built from its content, and checked when it is read."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kademlua.core.ids import ID_BYTES
from kademlua.core.objects import layout as layouts
from kademlua.core.objects.errors import MalformedObject
from kademlua.core.objects.layout import Layout
from kademlua.core.objects.tree import (
    Block,
    TreeBuilder,
    check_content,
    child_key,
    parse_root,
    root_of,
)
from kademlua.core.values.records import immutable_key
from kademlua.core.wire import bencoding

SMALL = layouts.MIN_BLOCK_BYTES
FAN_OUT = SMALL // ID_BYTES


def build(content: bytes, block_bytes: int = SMALL, piece: int = 10_000) -> list[Block]:
    """Return the records of an object, of which ``piece`` bytes are added at a time."""
    builder = TreeBuilder(block_bytes)
    blocks = [
        block
        for start in range(0, len(content), piece)
        for block in builder.add(content[start : start + piece])
    ]
    assert builder.size == len(content)
    return blocks + builder.finish()


def read(root: bytes, by_key: dict[bytes, bytes]) -> bytes:
    """Return the content below a root, with each record checked."""
    parsed = parse_root(bencoding.decode(by_key[root]))
    layout, contents = parsed.layout, [parsed.content]
    for level in range(layout.top_level - 1, -1, -1):
        keys = b"".join(contents)
        contents = [
            check_content(bencoding.decode(by_key[child_key(keys, index)]), layout, level, index)
            for index in range(layout.block_count(level))
        ]
    return b"".join(contents)


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


sizes = st.one_of(
    st.integers(0, 3 * SMALL),
    st.integers(-2, 2).map(lambda extra: FAN_OUT * SMALL + extra),
    st.integers(0, 2 * FAN_OUT**2 * SMALL),
)


@given(sizes, st.integers(1, 2_000))
def test_content_survives(size: int, piece: int) -> None:
    content = content_of(size)
    blocks = build(content, piece=piece)
    assert read(blocks[-1].key, {block.key: block.encoded for block in blocks}) == content
    assert blocks == build(content)


@given(sizes)
def test_records_prove_themselves_and_fit_their_layout(size: int) -> None:
    blocks = build(content_of(size))
    layout = parse_root(bencoding.decode(blocks[-1].encoded)).layout
    assert layout.size == size
    assert len(blocks) == layout.record_count
    assert sum(block.content_bytes for block in blocks) == size
    assert all(block.key == immutable_key(block.encoded) for block in blocks)
    assert all(len(block.encoded) <= SMALL + 100 for block in blocks)


def test_children_come_before_the_block_that_names_them() -> None:
    made: set[bytes] = set()
    for block in build(content_of(FAN_OUT * SMALL + 1)):
        value = bencoding.decode(block.encoded)
        content = value[b"content"] if isinstance(value, dict) else value
        if not block.content_bytes:
            keys = {child_key(content, i) for i in range(len(content) // ID_BYTES)}
            assert keys <= made
        made.add(block.key)


def test_equal_blocks_are_one_record() -> None:
    assert len({block.key for block in build(bytes(20 * SMALL))}) == 2
    first, second = build(content_of(10 * SMALL)), build(content_of(10 * SMALL) + b"more")
    assert len({block.key for block in first} & {block.key for block in second}) == 10


@pytest.mark.parametrize(
    ("size", "records", "top_level"),
    [
        (0, 1, 0),
        (14_336, 1, 0),
        (14_337, 3, 1),
        (14_336 * 716, 717, 1),
        (14_336 * 716 + 1, 720, 2),
        (100_000_000, 6_976 + 10 + 1, 2),
        (layouts.MAX_OBJECT_BYTES, None, 6),
    ],
)
def test_layout(size: int, records: int | None, top_level: int) -> None:
    layout = Layout(size)
    assert layout.top_level == top_level
    assert records in (None, layout.record_count)


@given(st.integers(0, layouts.MAX_OBJECT_BYTES), st.integers(SMALL, layouts.MAX_BLOCK_BYTES))
def test_every_layout_is_shallow_and_complete(size: int, block_bytes: int) -> None:
    layout = Layout(size, block_bytes)
    assert layout.top_level <= 12
    assert layout.block_count(layout.top_level) == 1
    for level in range(layout.top_level + 1):
        count = layout.block_count(level)
        held = size if level == 0 else ID_BYTES * layout.block_count(level - 1)
        full = layout.content_bytes(level, 0) * (count - 1)
        assert full + layout.content_bytes(level, count - 1) == held


@pytest.mark.parametrize("block_bytes", [SMALL - 1, layouts.MAX_BLOCK_BYTES + 1, 0, -1])
def test_block_size_out_of_range(block_bytes: int) -> None:
    with pytest.raises(ValueError, match="a block has 512 to 59,392 bytes"):
        Layout(1, block_bytes)
    with pytest.raises(ValueError, match="a block has"):
        TreeBuilder(block_bytes)


# What a malicious author writes. Its own hash proves each of these roots.

ROOT: dict[bytes, Any] = {b"block": SMALL, b"content": b"abc", b"object": 1, b"size": 3}


def test_root() -> None:
    assert parse_root(ROOT).content == b"abc"
    found = root_of(bencoding.encode(ROOT))
    assert found is not None
    assert (found.layout.size, found.content) == (3, b"abc")
    for other in (b"5:block", b"d5:blocki512ee", b"d5:blocki", b""):
        assert root_of(other) is None


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        ({b"size": 4}, "not 4 bytes"),
        ({b"size": 0}, "not 0 bytes"),
        ({b"size": -1}, "an object has 0 to"),
        ({b"size": 1 << 63}, "an object has 0 to"),
        ({b"size": 1 << 62}, "level 12 of the object is not 80 bytes"),
        ({b"size": b"3"}, "no sizes"),
        ({b"block": 0}, "a block has"),
        ({b"block": 1}, "a block has"),
        ({b"block": 1 << 40}, "a block has"),
        ({b"block": []}, "no sizes"),
        ({b"content": [b"abc"]}, "not 3 bytes"),
        ({b"content": b"abcd"}, "not 3 bytes"),
        ({b"object": 2}, "unknown version"),
        ({b"object": b"1"}, "unknown version"),
        ({b"more": 1}, "no object"),
    ],
)
def test_lying_root(lie: dict[bytes, Any], error: str) -> None:
    with pytest.raises(MalformedObject, match=error):
        parse_root(ROOT | lie)


@pytest.mark.parametrize("value", [b"", 5, [], {}, {b"v": 1}, [[[b""]]]])
def test_other_records_are_no_roots(value: Any) -> None:
    with pytest.raises(MalformedObject, match="no object"):
        parse_root(value)


@pytest.mark.parametrize("value", [b"", bytes(SMALL - 1), bytes(SMALL + 1), ROOT, [], 5])
def test_block_that_does_not_fit_its_place(value: Any) -> None:
    with pytest.raises(MalformedObject, match="block 1 of level 0 of the object is not 512 bytes"):
        check_content(value, Layout(3 * SMALL, SMALL), 0, 1)


@given(st.recursive(st.integers() | st.binary(), st.lists, max_leaves=5), st.data())
def test_any_root_is_read_or_refused(value: Any, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(ROOT)))
    try:
        root = parse_root(ROOT | {field: value})
    except MalformedObject:
        return
    assert len(root.content) == root.layout.content_bytes(root.layout.top_level, 0)
