"""Objects with a secret: what holders and peers can do to their records, and what they see."""

from __future__ import annotations

import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.objects.errors import BlockMissing, MalformedObject, ObjectNotFound
from kademlua.core.objects.tree import parse_root, root_block
from kademlua.core.wire import bencoding
from kademlua.crypto.key_derivation import Purpose
from kademlua.crypto.padding import pad
from kademlua.crypto.sealed_blocks import SealedForm
from kademlua.crypto.secret import Secret
from kademlua.objects.reader import ObjectReader, find_tree
from kademlua.objects.writer import ObjectWriter, pieces_of
from tests.objects.stores import MemoryBlocks

SECRET = Secret(b"s" * 32)
FORM, OTHER = SealedForm(SECRET), SealedForm(Secret(b"o" * 32))
BLOCK = 512
RANDOM = random.Random(1).randbytes(60_000)


def put(store: MemoryBlocks, content: bytes, form: SealedForm = FORM) -> bytes:
    return ObjectWriter(store, block_bytes=BLOCK, form=form).write(pieces_of(content))


def read(store: MemoryBlocks, key: bytes, form: SealedForm = FORM) -> bytes:
    reader = ObjectReader(key, find_tree(store, key, form))
    return b"".join(iter(lambda: reader.read(BLOCK) or b"", b""))


@settings(max_examples=30)
@given(blocks=st.sampled_from([0, 1, 2, 25, 26, 51]), beyond=st.integers(-2, 2))
def test_round_trip_at_the_edges_of_blocks_and_levels(blocks: int, beyond: int) -> None:
    store, content = MemoryBlocks(), RANDOM[: max(0, BLOCK * blocks + beyond)]
    assert read(store, put(store, content)) == content


@settings(max_examples=50)
@given(data=st.data())
def test_changed_bit_is_detected_though_its_key_is_not_checked(data: st.DataObject) -> None:
    """The hash of a record is checked before; here even a holder that could forge it fails."""
    store = MemoryBlocks()
    key = put(store, RANDOM[: 30 * BLOCK])
    changed = data.draw(st.sampled_from(sorted(store.by_key)))
    value = bytearray(bencoding.decode(store.by_key[changed]))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    store.by_key[changed] = bencoding.encode(bytes(value))
    with pytest.raises(MalformedObject, match="not made with this secret"):
        read(store, key)


def test_without_the_secret_nothing_is_read() -> None:
    store = MemoryBlocks()
    put(store, RANDOM[: 30 * BLOCK])
    for encoded in store.by_key.values():
        for other in (OTHER, SealedForm(Secret(b"S" + b"s" * 31))):
            with pytest.raises(MalformedObject):
                other.decode(bencoding.decode(encoded))


def test_records_contain_no_part_of_the_content_and_no_key() -> None:
    store = MemoryBlocks()
    put(store, RANDOM[: 60 * BLOCK])
    records = b"".join(store.by_key.values())
    pieces = [RANDOM[at : at + 8] for at in range(0, 60 * BLOCK, 8)] + list(store.by_key)
    assert not any(each in records for each in pieces)


def test_lengths_show_blocks_and_roots_only() -> None:
    store = MemoryBlocks()
    put(store, RANDOM[: 60 * BLOCK + 1])
    lengths = sorted(len(each) for each in store.by_key.values())
    assert len(lengths) == 61 + 3 + 1
    assert len(set(lengths[1:])) == 1


def test_equal_blocks_are_one_record_within_a_secret() -> None:
    store = MemoryBlocks()
    put(store, bytes(10 * BLOCK))
    assert len(store.by_key) == 2
    put(store, bytes(10 * BLOCK), OTHER)
    assert len(store.by_key) == 4


def test_small_objects_have_few_lengths() -> None:
    lengths = {len(FORM.encode({b"content": bytes(n)}, BLOCK)) for n in range(BLOCK)}
    assert len(lengths) <= 35


# Records of peers that know the secret.


def crafted(store: MemoryBlocks, root: Any) -> bytes:
    """Store a root with the secret, and return its key."""
    encoded = FORM.encode(root, BLOCK)
    key = random.Random(encoded).randbytes(20)
    store.by_key[key] = encoded
    return key


@pytest.mark.parametrize(
    "root",
    [
        b"a block",
        [[[[]]]],
        5,
        {b"block": 512, b"content": b"x", b"object": 1, b"size": 2},
        {b"block": 512, b"content": b"x" * 20, b"object": 1, b"size": 1 << 62},
        {b"block": 1, b"content": b"x", b"object": 1, b"size": 1},
        {b"block": 512, b"content": b"x", b"object": 1, b"size": -1},
        {b"block": 512, b"content": b"x", b"object": 2, b"size": 1},
        {b"block": 512, b"content": b"x", b"object": 1, b"size": 1, b"more": 1},
    ],
)
def test_root_that_lies_is_refused(root: Any) -> None:
    store = MemoryBlocks()
    with pytest.raises(MalformedObject):
        find_tree(store, crafted(store, root), FORM)


@pytest.mark.parametrize(
    "encoded",
    [b"l" * 6_000 + b"e" * 6_000, b"l" + b"le" * 7_000 + b"e", b"i" + b"9" * 14_000 + b"e"],
)
def test_value_that_is_costly_to_decode_is_refused(encoded: bytes) -> None:
    key = SECRET.derive(Purpose.SECRET_OBJECTS, 64)
    sealed = AESSIV(key).encrypt(pad(encoded), None)
    with pytest.raises(MalformedObject):
        parse_root(FORM.decode(sealed))


def test_deep_tree_costs_few_finds_and_no_memory() -> None:
    """Each level names itself, and the object claims to have 2^62 bytes."""
    store = MemoryBlocks()
    key = b"k" * 20
    store.by_key[key] = FORM.encode(key * 25, BLOCK)
    size = 1 << 62
    levels = find_tree(store, crafted(store, _root(size, key)), FORM).layout.top_level
    with pytest.raises(MalformedObject):
        ObjectReader(key, find_tree(store, crafted(store, _root(size, key)), FORM)).read(1)
    assert len(store.gets) <= levels + 3


def _root(size: int, key: bytes) -> dict[bytes, Any]:
    count = -(-size // BLOCK)
    while count > 25:
        count = -(-count // 25)
    return {b"block": BLOCK, b"content": key * count, b"object": 1, b"size": size}


def test_swapped_truncated_and_moved_blocks_are_refused() -> None:
    store = MemoryBlocks()
    key = put(store, RANDOM[: 3 * BLOCK + 5])
    leaves = [each for each in store.by_key if each != key]
    short = leaves[-1]
    full = leaves[0]
    before = dict(store.by_key)
    store.by_key[full] = before[short]  # of another length
    with pytest.raises(MalformedObject):
        read(store, key)
    store.by_key[full] = before[key]  # the root in the place of a block
    with pytest.raises(MalformedObject):
        read(store, key)
    del store.by_key[full]
    with pytest.raises(BlockMissing):
        read(store, key)
    store.by_key = before | {key: before[full]}  # a block in the place of the root
    with pytest.raises(MalformedObject):
        read(store, key)
    del store.by_key[key]
    with pytest.raises(ObjectNotFound):
        read(store, key)


def test_plain_tree_over_sealed_blocks_is_none_with_the_secret() -> None:
    """A peer without the secret knows the keys of all records, and makes a tree of its own."""
    store = MemoryBlocks()
    key = put(store, RANDOM[: 3 * BLOCK])
    keys = b"".join(each for each in store.by_key if each != key)
    forged = root_block(3 * BLOCK, BLOCK, keys)
    store.by_key[forged.key] = forged.encoded
    with pytest.raises(MalformedObject, match="not made with this secret"):
        find_tree(store, forged.key, FORM)
