"""Writing an object."""

from __future__ import annotations

import io
import random

import pytest

from kademlua import ObjectRefused
from kademlua.core.objects.layout import Layout
from kademlua.objects.writer import PIECE_BYTES, ObjectWriter, pieces_of
from tests.objects.stores import MemoryBlocks

BLOCK = 512
CONTENT = random.Random(1).randbytes(100 * BLOCK)


def test_root_is_stored_last() -> None:
    store = MemoryBlocks()
    key = store.put(CONTENT)
    assert store.puts[-1] == key
    assert len(store.puts) == Layout(len(CONTENT), BLOCK).record_count


def test_stream_and_bytes_have_the_same_key() -> None:
    key = MemoryBlocks().put(CONTENT)
    for source in (io.BytesIO(CONTENT), bytearray(CONTENT), memoryview(CONTENT)):
        assert ObjectWriter(MemoryBlocks(), block_bytes=BLOCK).write(pieces_of(source)) == key


@pytest.mark.parametrize("source", ["text", 5, None, ["x"]])
def test_wrong_source(source: object) -> None:
    with pytest.raises(TypeError, match="bytes or a binary stream"):
        pieces_of(source)  # type: ignore[arg-type]


def test_text_stream() -> None:
    with pytest.raises(TypeError, match="binary mode"):
        list(pieces_of(io.StringIO("text")))  # type: ignore[arg-type]


def test_content_is_read_in_pieces() -> None:
    assert [len(each) for each in pieces_of(bytes(PIECE_BYTES + 1))] == [PIECE_BYTES, 1]


def test_report() -> None:
    store, progress = MemoryBlocks(), []
    writer = ObjectWriter(
        store, block_bytes=BLOCK, on_progress=lambda report: progress.append(report.stored_bytes)
    )
    writer.write([CONTENT])
    assert progress == sorted(progress)
    assert progress[-1] == len(CONTENT) == writer.report.stored_bytes
    assert (writer.report.stored_blocks, writer.report.found_blocks) == (len(store.puts), 0)


def test_no_room() -> None:
    store = MemoryBlocks(room=7)
    with pytest.raises(ObjectRefused, match="3,584 bytes in 7 blocks were stored, then no room"):
        store.put(CONTENT)
    assert len(store.puts) == 8  # it stops at the first refusal


def test_only_missing_blocks_are_stored_again() -> None:
    store = MemoryBlocks(room=50)
    with pytest.raises(ObjectRefused):
        store.put(CONTENT)
    store.room, store.puts = 1_000, []
    writer = ObjectWriter(store, block_bytes=BLOCK, skip_stored=True)
    key = writer.write([CONTENT])
    assert store.open(key).readall() == CONTENT
    assert writer.report.found_blocks == 50
    assert writer.report.stored_bytes == len(CONTENT)
    assert len(store.puts) + 50 == Layout(len(CONTENT), BLOCK).record_count


def test_repeated_blocks_are_stored_once() -> None:
    store = MemoryBlocks()
    key = store.put(bytes(100 * BLOCK))
    assert len(store.puts) < 10
    assert store.open(key).readall() == bytes(100 * BLOCK)


def test_source_that_fails() -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        ObjectWriter(MemoryBlocks()).write(pieces_of(Broken()))
