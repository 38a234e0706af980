"""A network of ``kademlia``, the DHT on asyncio."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

from kademlia.network import Server
from kademlia.utils import digest

from tests.benchmarks.measuring import Job, Kind, Recorder

_HOST = "127.0.0.1"


class KademliaNetwork:
    """Servers of one process and one event loop. They keep a value at 20 nodes."""

    def __init__(self) -> None:
        logging.disable()  # it warns of every answer that is missing
        self._loop = asyncio.new_event_loop()
        self._servers: list[Any] = []

    def bring_up(self, count: int) -> None:
        """Start servers, each joining by the first."""
        self._loop.run_until_complete(self._bring_up(count))

    def settle(self) -> None:
        """One lookup of a random key by each server: that fills thin tables."""

        async def look_up() -> None:
            for server in self._servers:
                await server.get(os.urandom(20))

        self._loop.run_until_complete(look_up())

    def rest(self, seconds: float) -> None:
        """Let the servers run with nothing to do."""
        self._loop.run_until_complete(asyncio.sleep(seconds))

    def perform(self, kind: Kind, jobs: Sequence[Job], at_once: int, recorder: Recorder) -> None:
        """The jobs by so many workers."""
        queue = recorder.while_there_is_time(jobs)
        operation = self._put if kind == "put" else self._get

        async def work(queue: Iterator[Job]) -> None:
            for job in queue:
                began = time.perf_counter()
                succeeded = await operation(job)
                recorder.ended(began, succeeded)

        async def work_together() -> None:
            await asyncio.gather(*(work(queue) for _ in range(at_once)))

        self._loop.run_until_complete(work_together())

    def stop(self, indexes: Sequence[int]) -> None:
        """Close servers; a closed one tells nobody."""
        for index in indexes:
            self._servers[index].stop()

    def lost(self, jobs: Sequence[Job], survivors: Sequence[int]) -> int:
        """How many values no survivor holds."""
        stores = [self._servers[index].storage for index in survivors]
        keys = [digest(job.key) for job in jobs]
        return sum(all(store.get(key) is None for store in stores) for key in keys)

    def calls(self) -> None:
        """Not to be known."""

    async def _bring_up(self, count: int) -> None:
        for _ in range(count):
            server = Server()
            await server.listen(0, _HOST)
            self._servers.append(server)
        bootstrap = [self._servers[0].transport.get_extra_info("sockname")[:2]]
        for server in self._servers[1:]:
            await server.bootstrap(bootstrap)

    def _put(self, job: Job) -> Coroutine[Any, Any, bool]:
        server = self._servers[job.writer]
        return _truth(server.set(job.key, job.value))

    async def _get(self, job: Job) -> bool:
        return bool(await self._servers[job.reader].get(job.key) == job.value)


async def _truth(result: Coroutine[Any, Any, Any]) -> bool:
    return bool(await result)
