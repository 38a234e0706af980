"""``AsyncNode``: a node for programs on asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from kademlua.bridges.base import BridgedNode
from kademlua.bridges.object_readers import AsyncObjectReader
from kademlua.bridges.thread_call import ThreadCall, no_op
from kademlua.core.errors import NodeClosed
from kademlua.node.node import Node
from kademlua.node.operation import AwaitableCalls
from kademlua.objects.reader import ObjectReader


class AsyncNode(BridgedNode, AwaitableCalls):
    """A node in a thread of its own, for asyncio.

    Its operations are coroutines, which many tasks may await at the same time. Cancelling one also
    ends it in the node. Arguments and operations are those of ``Node``. The node belongs to the
    asyncio loop that uses it first.

    >>> async with AsyncNode(bootstrap=[("127.0.0.1", 8001)]) as node:
    ...     await node.add(sha1("key"), b"value")
    """

    _loop: asyncio.AbstractEventLoop | None = None
    _finished: deque[tuple[ThreadCall, asyncio.Future[Any]]]

    async def __aenter__(self) -> AsyncNode:
        """Start, and wait until the first attempt to join has ended."""
        try:
            await self.start()
            await self.wait_joined()
        except BaseException:  # __aexit__ is not called after an exception here
            await self.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def open_object(self, key: bytes) -> AsyncObjectReader:
        """Return an object for reading; see ``Node.open_object``."""
        return await self._as_reader(self._submit(partial(Node.open_object, self._node, key)))

    async def _as_reader(self, opened: Awaitable[ObjectReader]) -> AsyncObjectReader:
        return AsyncObjectReader(await opened, self._submit, self._post)

    async def _submit(self, function: Callable[[], Any]) -> Any:
        self._thread.check_process()
        return await self._wait(self._thread.submit, function)

    async def _shutdown(self, close: Callable[[], Any]) -> None:
        if self._thread.is_forked:
            return
        with suppress(NodeClosed):  # another task closed the node
            await self._submit(close)
        await self._wait(self._thread.stop, no_op)
        self._thread.join()

    async def _wait(
        self, schedule: Callable[[ThreadCall], None], function: Callable[[], Any]
    ) -> Any:
        """Schedule a call of a function in the thread, and return its result."""
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self._finished = loop, deque()
        elif self._loop is not loop:
            raise RuntimeError("an AsyncNode belongs to the loop in which it was first used")
        future: asyncio.Future[Any] = loop.create_future()
        call = ThreadCall(function, partial(self._on_call_done, loop, future))
        try:
            schedule(call)
            return await future
        except (asyncio.CancelledError, GeneratorExit):
            self._thread.cancel(call)
            raise
        finally:
            del future, call  # break the reference cycle with the traceback

    def _on_call_done(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], call: ThreadCall
    ) -> None:
        """Queue a finished call, in the thread, and wake the loop unless it was woken already."""
        is_first = not self._finished
        self._finished.append((call, future))
        if is_first:
            try:
                loop.call_soon_threadsafe(self._resolve_futures)
            except RuntimeError:  # the loop is closed, so nothing waits
                self._finished.clear()

    def _resolve_futures(self) -> None:
        """Resolve the futures of finished calls, in the loop."""
        finished = self._finished
        while finished:
            call, future = finished[0]
            if not future.done():
                value, error = call.pop_outcome()
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            finished.popleft()  # only now: a non-empty queue means the loop is awake
