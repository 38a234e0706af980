"""Objects of nodes in a thread: from other threads, and from asyncio."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kademlua import AsyncNode, NodeClosed, ObjectNotFound, ThreadedNode
from kademlua.core.contact import Endpoint

CONTENT = random.Random(4).randbytes(200_000)
Make = Callable[..., ThreadedNode]


def test_object_in_a_thread(first: Endpoint, in_thread: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)

    def use() -> None:
        with ThreadedNode(bootstrap=[first]) as node:
            with path.open("rb") as file:
                key = node.put_object(file)
            assert key == node.put_object(CONTENT)
            with node.open_object(key) as reader:
                assert (reader.key, reader.size) == (key, len(CONTENT))
                assert reader.read(20_000) == CONTENT[:20_000]
                assert reader.seek(-10, io.SEEK_END) == reader.tell() == len(CONTENT) - 10
                assert reader.read() == CONTENT[-10:]
                reader.seek(14_336)
                assert reader.has_block(CONTENT[14_336:28_672])
            with pytest.raises(ValueError, match="closed"):
                reader.read(1)
            assert io.BufferedReader(node.open_object(key)).read(5) == CONTENT[:5]
            with pytest.raises(ObjectNotFound):
                node.open_object(b"x" * 20)

    in_thread(use)


def test_slow_stream_does_not_stop_the_node(make_threaded: Make) -> None:
    node = make_threaded()
    reading, writing = os.pipe()
    keys: list[bytes] = []

    def put() -> None:
        with open(reading, "rb", buffering=0) as stream:
            keys.append(node.put_object(stream))

    thread = threading.Thread(target=put)
    thread.start()
    os.write(writing, b"first")
    time.sleep(0.05)  # the stream is being read now, or will be: the node answers in both cases
    assert node.stats()["contacts"] == 0
    os.write(writing, b"second")
    os.close(writing)
    thread.join(20)
    assert node.open_object(keys[0]).read() == b"firstsecond"


def test_forgotten_reader(make_threaded: Make) -> None:
    node = make_threaded()
    reader = node.open_object(node.put_object(CONTENT))
    reader.read(1)
    del reader
    gc.collect()
    assert node.stats()["contacts"] == 0


def test_reader_of_a_closed_node(make_threaded: Make) -> None:
    node = make_threaded()
    reader = node.open_object(node.put_object(CONTENT))
    node.close()
    with pytest.raises(NodeClosed):
        reader.read()
    reader.close()


def test_cancelled_read_loses_no_bytes(first: Endpoint) -> None:
    async def main() -> None:
        async with AsyncNode(bootstrap=[first]) as node:
            key = await node.put_object(CONTENT)
            async with await node.open_object(key) as reader:
                start = await reader.read(10)
                for turns in range(20):
                    reading = asyncio.create_task(reader.read(100))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    reading.cancel()
                    with suppress(asyncio.CancelledError):
                        start += await reading
                    assert reader.tell() == len(start)
                assert reader.seek(0, io.SEEK_CUR) == len(start)
                assert start + await reader.read() == CONTENT

    asyncio.run(asyncio.wait_for(main(), 30))


def test_object_on_asyncio(first: Endpoint) -> None:
    async def main() -> None:
        async with AsyncNode(bootstrap=[first]) as node:
            key = await node.put_object(io.BytesIO(CONTENT))
            async with await node.open_object(key) as reader:
                assert reader.size == len(CONTENT)
                assert await reader.read(10) == CONTENT[:10]
                assert reader.seek(100_000) == reader.tell() == 100_000
                parts = [part async for part in reader]
                assert b"".join(parts) == CONTENT[100_000:]
            with pytest.raises(ValueError, match="closed"):
                await reader.read(1)

    asyncio.run(asyncio.wait_for(main(), 30))
