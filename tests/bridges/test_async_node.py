"""``AsyncNode``, on asyncio loops."""

import asyncio
import atexit
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kademlua import AsyncNode, NodeClosed, NotJoined, RpcTimeout, ThreadedNode, sha1
from kademlua.core.contact import Endpoint
from tests.bridges.conftest import LeakCounts
from tests.conftest import QUICK_PARAMS

KEY = sha1("key")
SILENT = ("127.0.0.1", 9)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function in a new loop, and assert that the loop reports no errors."""
    loop_errors: list[dict[str, Any]] = []

    async def bounded() -> Any:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: loop_errors.append(context)
        )
        async with asyncio.timeout(30):
            return await main()

    result = asyncio.run(bounded())
    assert loop_errors == []
    return result


async def until_idle(node: AsyncNode) -> None:
    async with asyncio.timeout(10):
        while (await node.stats())["calls_in_flight"]:
            await asyncio.sleep(0.005)


async def until_waiting(node: AsyncNode, count: int) -> None:
    async with asyncio.timeout(10):
        while (await node.stats())["calls_in_flight"] != count:
            await asyncio.sleep(0.005)


def test_node_joins_adds_and_finds(first: Endpoint) -> None:
    async def main() -> None:
        async with AsyncNode(bootstrap=[first]) as node:
            assert node.joined
            assert len((await node.add(KEY, b"value")).acknowledged) == 2
            assert [answer.values for answer in await node.find_value(KEY)] == [[b"value"]] * 2
            assert await node.network_size() == 2
            assert (await node.ping(first)).contact.endpoint == first
        assert not node.joined

    run(main)


def test_many_calls_run_concurrently(first: Endpoint) -> None:
    async def main() -> None:
        keys = [sha1(f"key {number}") for number in range(200)]
        async with AsyncNode(bootstrap=[first]) as node:
            reports = await asyncio.gather(*(node.add(key, key) for key in keys))
            assert all(report.acknowledged for report in reports)
            found = await asyncio.gather(*(node.find_value(key, max_nodes=1) for key in keys))
            assert [answers[0].values for answers in found] == [[key] for key in keys]

    run(main)


def test_two_nodes_share_a_loop() -> None:
    async def main() -> None:
        async with AsyncNode() as alice, AsyncNode(bootstrap=[alice.contact.endpoint]) as bob:
            await alice.add(KEY, b"v")
            assert (await bob.find_value(KEY))[0].values == [b"v"]

    run(main)


def test_errors_reach_the_caller() -> None:
    async def main() -> None:
        async with AsyncNode(params=QUICK_PARAMS) as alone:
            with pytest.raises(ValueError, match="a key has"):
                await alone.find_value(b"short")
            with pytest.raises(TypeError):
                await alone.add(KEY, None)
            with pytest.raises(RpcTimeout):
                await alone.ping(SILENT, timeout=0.02)
        outside = AsyncNode(params=QUICK_PARAMS, bootstrap=[SILENT])
        await outside.start()
        with pytest.raises(NotJoined):
            await outside.find_value(KEY)
        await outside.close()

    run(main)


def test_loop_runs_during_a_call() -> None:
    async def main() -> int:
        turns = 0
        async with AsyncNode() as node:
            pinging = asyncio.ensure_future(node.ping(SILENT, timeout=0.2))
            while not pinging.done():
                turns += 1
                await asyncio.sleep(0.001)
            assert isinstance(pinging.exception(), RpcTimeout)
        return turns

    assert run(main) > 20


class TestCancelling:
    def test_cancellation_ends_the_call_in_the_node(self) -> None:
        async def main() -> None:
            async with AsyncNode() as node:
                pinging = [asyncio.ensure_future(node.ping(SILENT, timeout=60)) for _ in range(3)]
                await until_waiting(node, 3)
                pinging[1].cancel()
                await until_waiting(node, 2)
                for task in pinging:
                    task.cancel()
                ended = await asyncio.gather(*pinging, return_exceptions=True)
                assert [type(each) for each in ended] == [asyncio.CancelledError] * 3
                await until_idle(node)

        run(main)

    def test_timeout_cancels_the_call(self) -> None:
        async def main() -> None:
            async with AsyncNode() as node:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await node.ping(SILENT, timeout=60)
                await until_idle(node)

        run(main)

    def test_cancellation_before_the_thread_starts_the_call(self) -> None:
        async def main() -> None:
            async with AsyncNode() as node:
                for _ in range(100):
                    pinging = asyncio.ensure_future(node.ping(SILENT, timeout=60))
                    await asyncio.sleep(0)
                    pinging.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await pinging
                await until_idle(node)

        run(main)

    def test_cancellation_during_join(self, leak_counts: Callable[[], LeakCounts]) -> None:
        async def enter() -> None:
            async with AsyncNode(bootstrap=[SILENT]):
                pytest.fail("the first attempt to join did not block")

        async def main() -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await enter()

        run(main)
        assert leak_counts()[0] == []


class TestClosing:
    def test_close_ends_waiting_calls(self) -> None:
        async def main() -> None:
            node = AsyncNode()
            await node.start()
            waiting = [asyncio.ensure_future(node.ping(SILENT, timeout=60)) for _ in range(3)]
            closed = asyncio.ensure_future(node.wait_closed())
            await until_waiting(node, 3)
            await asyncio.gather(node.close(), node.close())
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(each) for each in ended] == [NodeClosed] * 3
            assert await closed is None
            await node.close()
            for call in (node.start, lambda: node.add(KEY, b"v")):
                with pytest.raises(NodeClosed):
                    await call()
            assert await node.wait_joined(60) is False

        run(main)

    def test_close_leaves_no_threads_or_files(
        self, first: Endpoint, leak_counts: Callable[[], LeakCounts]
    ) -> None:
        async def main() -> None:
            async with AsyncNode(bootstrap=[first], read_only=True) as node:
                await node.find_value(KEY)

        run(main)
        before = leak_counts()
        for _ in range(5):
            run(main)
        assert leak_counts() == before

    def test_port_in_use_raises_oserror(
        self, first: Endpoint, leak_counts: Callable[[], LeakCounts]
    ) -> None:
        async def main() -> None:
            with pytest.raises(OSError, match="in use"):
                async with AsyncNode(port=first[1]):
                    pass

        before = leak_counts()
        run(main)
        assert leak_counts()[0] == before[0]

    def test_call_ends_after_its_loop_was_closed(
        self, leak_counts: Callable[[], LeakCounts], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The call is neither awaited nor cancelled, and its loop is closed before it ends."""
        exit_handlers: list[Callable[[], None]] = []
        monkeypatch.setattr(atexit, "register", exit_handlers.append)
        node = AsyncNode()
        loop = asyncio.new_event_loop()
        loop.run_until_complete(node.start())
        pinging = loop.create_task(node.ping(SILENT, timeout=60))
        loop.run_until_complete(until_waiting(node, 1))
        loop.close()

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="the loop in which it was first used"):
                await node.stats()

        run(elsewhere)
        for stop_thread in exit_handlers:
            stop_thread()
        assert leak_counts()[0] == []
        # Private: asyncio has no public way to drop a pending task without a log record.
        pinging._log_destroy_pending = False  # type: ignore[attr-defined]


def test_rpcs_run_in_the_thread_of_the_node(
    make_threaded: Callable[..., ThreadedNode],
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        async with AsyncNode() as server, AsyncNode() as caller:
            await server.register(
                "say", lambda sender, word: loop.call_soon_threadsafe(heard.put_nowait, word) and 1
            )
            assert await caller.call(server.contact, "say", b"hello") == [1]
            assert await heard.get() == b"hello"

    run(main)
