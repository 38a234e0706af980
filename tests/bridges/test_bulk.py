"""Operations on many keys of nodes in a thread: from other threads, and from asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from kademlua import AsyncNode, ThreadedNode, sha1
from kademlua.core.contact import Endpoint

ROWS = [(sha1(str(number)), number) for number in range(100)]


def test_threaded_node(first: Endpoint, in_thread: Callable[..., Any]) -> None:
    def use() -> None:
        with ThreadedNode(bootstrap=[first]) as node:
            run = node.add_many(iter(ROWS))
            assert {result.key for result in run} == {key for key, _ in ROWS}
            assert run.report.succeeded == 100
            found = node.find_many((key for key, _ in ROWS), max_nodes=1)
            assert {each.key: each.answers[0].values for each in found} == {
                key: [value] for key, value in ROWS
            }
            assert [each.error for each in node.publish_many(ROWS[:3])] == [None] * 3
            assert len(node.published()) == 3
            rest = node.overwrite_many(ROWS)
            next(rest)
            rest.close()

    in_thread(use)


def test_iterator_that_another_thread_drops(first: Endpoint, in_thread: Callable[..., Any]) -> None:
    def use() -> None:
        with ThreadedNode(bootstrap=[first]) as node:
            rows = [(sha1(str(number)), number) for number in range(600)]
            for result in node.add_many(rows):
                if result.report is not None:
                    break
            assert all(each.error is None for each in node.add_many(ROWS))

    in_thread(use)


def test_async_node(first: Endpoint) -> None:
    async def rows() -> AsyncIterator[tuple[bytes, int]]:
        for row in ROWS:
            await asyncio.sleep(0)
            yield row

    async def use() -> None:
        async with AsyncNode(bootstrap=[first]) as node:
            run = node.add_many(rows())
            assert {result.key async for result in run} == {key for key, _ in ROWS}
            assert run.report.succeeded == 100
            found = [result async for result in node.find_many(key for key, _ in ROWS)]
            assert all(result.answers for result in found)
            rest = node.overwrite_many(ROWS)
            await anext(rest)
            await rest.close()

    asyncio.run(use())


def test_cancelled_task(first: Endpoint) -> None:
    async def use() -> None:
        async with AsyncNode(bootstrap=[first]) as node:
            run = node.add_many(ROWS)
            for _ in range(3):  # while the window begins, and while there is no result yet
                task = asyncio.ensure_future(anext(run))
                await asyncio.sleep(0)
                assert task.cancel()
            assert {result.key async for result in run} == {key for key, _ in ROWS}

    asyncio.run(use())
