"""Files that are filled with objects."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kademlua.cli.object_files import ObjectFile
from kademlua.core.objects.tree import root_block
from tests.objects.stores import MemoryBlocks

ONE, OTHER = (random.Random(seed).randbytes(20_000) for seed in range(2))


def test_two_objects_are_never_mixed_in_one_file(tmp_path: Path) -> None:
    store = MemoryBlocks()
    one, other = (store.open(store.put(content)) for content in (ONE, OTHER))
    path = tmp_path / "file"

    def fetch_other(done: int) -> None:
        with pytest.raises(BlockingIOError, match="another command writes it"):
            ObjectFile(path).fetch(other, lambda done: None)

    ObjectFile(path).fetch(one, fetch_other)
    assert path.read_bytes() == ONE
    ObjectFile(path).fetch(other, lambda done: None)
    assert path.read_bytes() == OTHER
    assert list(tmp_path.iterdir()) == [path]


def test_object_for_which_the_disk_has_no_space_leaves_no_file(tmp_path: Path) -> None:
    store = MemoryBlocks()
    root = root_block(1 << 62, 512, b"k" * 80)
    store.by_key[root.key] = root.encoded
    reader = store.open(root.key)
    with pytest.raises(OSError, match="4,611,686,018,427,387,904 bytes, for which the disk has no"):
        ObjectFile(tmp_path / "file").fetch(reader, lambda done: None)
    assert not list(tmp_path.iterdir())
