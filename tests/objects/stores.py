"""A BlockStore in memory, for tests of writing and reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import gevent

from kademlua.core.errors import StoreFailed
from kademlua.core.objects.tree import Block
from kademlua.core.results import StoreReport
from kademlua.core.wire import bencoding
from kademlua.objects.block_store import BlockResult
from kademlua.objects.reader import ObjectReader, find_tree
from kademlua.objects.writer import ObjectWriter, pieces_of


class MemoryBlocks:
    """Blocks by key; returns results in the reverse order, a few at a time."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.by_key: dict[bytes, bytes] = {}
        self.room = room
        """Blocks that it still accepts."""
        self.puts: list[bytes] = []
        self.gets: list[bytes] = []

    def put_blocks(self, blocks: Iterable[Block]) -> Iterator[BlockResult]:
        for block in blocks:
            self.puts.append(block.key)
            if not self.room:
                yield BlockResult(block, StoreReport(), StoreFailed("no room"))
                continue
            self.room -= 1
            self.by_key[block.key] = block.encoded
            yield BlockResult(block, StoreReport())

    def get_blocks(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
        self.gets += keys
        for key in reversed(keys):
            gevent.sleep(0)
            encoded = self.by_key.get(key)
            yield key, None if encoded is None else bencoding.decode(encoded)

    def put(self, content: bytes, block_bytes: int = 512) -> bytes:
        return ObjectWriter(self, block_bytes=block_bytes).write(pieces_of(content))

    def open(self, key: bytes) -> ObjectReader:
        return ObjectReader(key, find_tree(self, key))
