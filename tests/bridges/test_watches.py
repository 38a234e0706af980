"""Watches of nodes in threads: what a cancelled wait must not lose or leave behind."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from kademlua import AsyncNode, SigningKey, ThreadedNode, mail_address, sha1
from kademlua.core.watch.changes import Change

KEY = sha1("key")


def test_cancelled_next_loses_no_change(make_threaded: Callable[..., ThreadedNode]) -> None:
    writer = make_threaded()

    async def run() -> list[object]:
        found: list[object] = []
        async with AsyncNode(bootstrap=[writer.contact.endpoint]) as node, node.watch(KEY) as watch:
            assert await watch.next(0.5) is None
            for number in range(5):
                waiting = asyncio.create_task(anext(watch))
                await asyncio.sleep(0.01)  # it waits in the node's thread
                writer.add(KEY, number)  # this loop is blocked while the change arrives
                time.sleep(0.1)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                change = await watch.next(10)
                assert change is not None
                found.append(change.value)
        return found

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_cancelled_next_of_an_inbox_loses_no_message(
    make_threaded: Callable[..., ThreadedNode],
) -> None:
    pytest.importorskip("cryptography")
    writer, reader = make_threaded(), SigningKey.generate()
    address, sender = mail_address(reader), SigningKey.generate()

    async def run() -> list[object]:
        found: list[object] = []
        boot = [writer.contact.endpoint]
        async with AsyncNode(bootstrap=boot) as node, node.inbox(reader) as messages:
            assert await messages.next(0.5) is None
            for number in range(5):
                waiting = asyncio.create_task(anext(messages))
                await asyncio.sleep(0.01)  # it waits in the node's thread
                writer.put_for(address, number, sender)  # this loop is blocked meanwhile
                time.sleep(0.1)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                message = await messages.next(10)
                assert message is not None
                found.append(message.value)
        return found

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_watch_whose_first_next_was_cancelled_leaves_nothing_behind(
    make_threaded: Callable[..., ThreadedNode],
) -> None:
    holder = make_threaded()

    async def run() -> None:
        async with AsyncNode(bootstrap=[holder.contact.endpoint]) as node:
            async with node.watch(KEY) as watch:
                waiting = asyncio.create_task(anext(watch))
                await asyncio.sleep(0)
                time.sleep(0.1)  # the node's thread begins the watch meanwhile
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            async with asyncio.timeout(10):  # the holder was asked to begin, and to end
                while holder.stats()["requests_by_rpc"].get("watch", 0) % 2:
                    await asyncio.sleep(0.01)
            holder.add(KEY, b"v")
            assert "changed" not in holder.stats()["calls_by_rpc"]

    asyncio.run(run())


def test_tasks_that_share_a_watch_get_each_change_once(
    make_threaded: Callable[..., ThreadedNode],
) -> None:
    writer = make_threaded()

    async def run() -> list[Change | None]:
        async with AsyncNode(bootstrap=[writer.contact.endpoint]) as node, node.watch(KEY) as watch:
            waiting = [asyncio.create_task(watch.next(20)) for _ in range(3)]
            await asyncio.sleep(0)
            await asyncio.to_thread(writer.add, KEY, b"v")
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            await watch.close()
            return await asyncio.gather(*waiting)

    changes = asyncio.run(run())
    assert [change.value for change in changes if change is not None] == [b"v"]


def test_watch_that_was_closed_does_not_begin(make_threaded: Callable[..., ThreadedNode]) -> None:
    holder = make_threaded()
    holder.add(KEY, b"v")

    async def run() -> list[Change]:
        async with AsyncNode(bootstrap=[holder.contact.endpoint]) as node:
            watch = node.watch(KEY)
            await watch.close()
            return [change async for change in watch]

    assert asyncio.run(run()) == []


def test_watch_ends_in_another_thread(make_threaded: Callable[..., ThreadedNode]) -> None:
    watch = make_threaded().watch(KEY)
    found: list[list[Change]] = []
    thread = threading.Thread(target=lambda: found.append(list(watch)))
    thread.start()
    watch.close()
    thread.join(10)
    assert found == [[]]
