"""Writing an object: its blocks are stored while its content is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, Protocol

from kademlua.core.errors import KademluaError
from kademlua.core.objects.errors import ObjectRefused
from kademlua.core.objects.form import PLAIN, BlockForm
from kademlua.core.objects.layout import DEFAULT_BLOCK_BYTES
from kademlua.core.objects.report import ObjectReport
from kademlua.core.objects.tree import Block, TreeBuilder
from kademlua.objects.block_store import BlockStore

PIECE_BYTES: Final = 262_144
"""Bytes that are read from a stream at once."""
_CHECK_BATCH: Final = 64
"""Blocks whose presence is checked together."""
_REMEMBERED_KEYS: Final = 4_096
"""Recent blocks that are not stored again: a file with holes repeats one block."""

OnProgress = Callable[[ObjectReport], object]
"""Called after each block with the report so far, which goes on changing."""


class ByteStream(Protocol):
    """A binary stream, such as an open file."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to ``size`` bytes; none at the end."""


ObjectSource = bytes | bytearray | memoryview | ByteStream
"""The content of an object."""


def pieces_of(source: ObjectSource) -> Iterator[bytes]:
    """Return the content of bytes, or of a stream to its end.

    Raises:
        TypeError: the source is neither bytes nor a binary stream.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        view = memoryview(source).cast("B")
        return (bytes(view[at : at + PIECE_BYTES]) for at in range(0, len(view), PIECE_BYTES))
    if not hasattr(source, "read"):
        raise TypeError(f"an object is made from bytes or a binary stream, not {source!r:.60}")
    return _read_pieces(source)


def _read_pieces(stream: ByteStream) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        if not isinstance(piece, bytes):
            raise TypeError("the stream returned no bytes; open the file in binary mode")
        yield piece


class ObjectWriter:
    """Stores the blocks of one object."""

    def __init__(
        self,
        blocks: BlockStore,
        *,
        block_bytes: int = DEFAULT_BLOCK_BYTES,
        form: BlockForm = PLAIN,
        skip_stored: bool = False,
        on_progress: OnProgress | None = None,
    ) -> None:
        """Prepare.

        Args:
            blocks: Where to store them.
            block_bytes: Bytes of content in a block.
            form: How blocks become records.
            skip_stored: Look for each block first, and do not store those that are found.
            on_progress: Called after each block.
        """
        self._blocks = blocks
        self._skip_stored = skip_stored
        self._on_progress = on_progress
        self._builder = TreeBuilder(block_bytes, form)
        self._root: Block | None = None
        self._failure: KademluaError | None = None
        self._recent: dict[bytes, None] = {}
        self.report = ObjectReport()

    def write(self, pieces: Iterable[bytes]) -> bytes:
        """Store the object with this content, and return its key.

        The root is stored last, when all other blocks are.

        Raises:
            ObjectRefused: a block could not be stored.
            NodeClosed: the node is closed.
        """
        self._store(self._build(pieces))
        assert self._root is not None
        self._store([self._root])
        return self._root.key

    def _build(self, pieces: Iterable[bytes]) -> Iterator[Block]:
        """Yield all blocks but the root."""
        for piece in pieces:
            yield from self._builder.add(piece)
        *blocks, self._root = self._builder.finish()
        yield from blocks

    def _store(self, blocks: Iterable[Block]) -> None:
        wanted = self._without_repeated(blocks)
        if self._skip_stored:
            wanted = self._without_stored(wanted)
        for result in self._blocks.put_blocks(self._until_failure(wanted)):
            if result.error is None:
                self.report.add_stored(result.block.content_bytes, result.report)
            else:
                self.report.add_failures(result.report)
                self._failure = result.error
            self._notify()
        if self._failure is not None:
            raise ObjectRefused(str(self._failure), self.report) from self._failure

    def _until_failure(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield blocks until one could not be stored; those in flight still count."""
        for block in blocks:
            if self._failure is not None:
                return
            yield block

    def _without_repeated(self, blocks: Iterable[Block]) -> Iterator[Block]:
        for block in blocks:
            if block.key in self._recent:
                self.report.add_found(block.content_bytes)
                continue
            if len(self._recent) >= _REMEMBERED_KEYS:
                del self._recent[next(iter(self._recent))]
            self._recent[block.key] = None
            yield block

    def _without_stored(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks that the network does not have."""
        while batch := list(islice(blocks, _CHECK_BATCH)):
            found = self._blocks.get_blocks([block.key for block in batch])
            present = {key for key, value in found if value is not None}
            for block in batch:
                if block.key not in present:
                    yield block
                    continue
                self.report.add_found(block.content_bytes)
                self._notify()

    def _notify(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self.report)
