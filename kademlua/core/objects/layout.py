"""Layout: where the bytes and keys of an object are, computed from its size alone.

Level 0 has the content, in blocks of ``block_bytes``; the last one may be shorter. Each higher
level has the keys of the level below, ``fan_out`` in each block but the last. The top level has
one block. So nothing but size and block size describes a tree, and no block can lie about the
others. See ``docs/protocol-objects.md``.
"""

from __future__ import annotations

from typing import Final

from kademlua.core.ids import ID_BYTES

DEFAULT_BLOCK_BYTES: Final = 14_336
"""Bytes of content in a block: 14 KiB, so that a block with its header fits into a value."""
MIN_BLOCK_BYTES: Final = 512
MAX_BLOCK_BYTES: Final = 59_392
MAX_OBJECT_BYTES: Final = (1 << 63) - 1


class Layout:
    """The shape of the tree of one object."""

    __slots__ = ("_counts", "block_bytes", "fan_out", "size")

    def __init__(self, size: int, block_bytes: int = DEFAULT_BLOCK_BYTES) -> None:
        """Compute the shape.

        Args:
            size: Bytes of the object, 0 to ``MAX_OBJECT_BYTES``.
            block_bytes: Bytes of a full block, ``MIN_BLOCK_BYTES`` to ``MAX_BLOCK_BYTES``.

        Raises:
            ValueError: one of them is out of range.
        """
        check_block_bytes(block_bytes)
        if not 0 <= size <= MAX_OBJECT_BYTES:
            raise ValueError(f"an object has 0 to {MAX_OBJECT_BYTES:,} bytes, not {size:,}")
        self.size = size
        self.block_bytes = block_bytes
        self.fan_out = block_bytes // ID_BYTES
        """Keys in a full block."""
        self._counts = [max(1, -(-size // block_bytes))]
        while self._counts[-1] > 1:
            self._counts.append(-(-self._counts[-1] // self.fan_out))

    @property
    def top_level(self) -> int:
        """The level whose only block is in the root; 0 if the root has the content itself."""
        return len(self._counts) - 1

    @property
    def leaf_count(self) -> int:
        """The number of blocks of level 0."""
        return self._counts[0]

    @property
    def record_count(self) -> int:
        """The number of records of the tree, the root included."""
        return sum(self._counts)

    def block_count(self, level: int) -> int:
        """Return the number of blocks of a level."""
        return self._counts[level]

    def content_bytes(self, level: int, index: int) -> int:
        """Return how many bytes the content of a block has."""
        if level == 0:
            return min(self.block_bytes, self.size - index * self.block_bytes)
        return ID_BYTES * min(self.fan_out, self._counts[level - 1] - index * self.fan_out)


def check_block_bytes(block_bytes: int) -> None:
    """Raise ValueError if a block size is out of range."""
    if not MIN_BLOCK_BYTES <= block_bytes <= MAX_BLOCK_BYTES:
        raise ValueError(
            f"a block has {MIN_BLOCK_BYTES:,} to {MAX_BLOCK_BYTES:,} bytes, not {block_bytes:,}"
        )
