"""A network of OpenDHT: one runner per node, on loopback and without discovery."""

from __future__ import annotations

import os
import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import opendht

from tests.benchmarks.measuring import Job, Kind, Recorder

_HOST = "127.0.0.1"
_K = 8
_JOINING_BY = 4
"""Earlier nodes that a node is told of."""
_PATIENCE = 30.0
"""Seconds after which an operation has failed; OpenDHT itself gives up before."""
_FILLING = 90.0
"""Seconds that the tables have to fill in."""
_NO_LIMIT = -1
_HELD = re.compile(r"Storage ([0-9a-f]{40}) \d+ list\., [1-9]")


class OpenDhtNetwork:
    """Runners of one process, each with a thread of its own. They call back in their threads."""

    def __init__(self) -> None:
        self._runners: list[Any] = []
        self._running: set[object] = set()
        """Operations whose last callback is still to come."""

    def bring_up(self, count: int) -> None:
        """Start runners and return when each has k nodes, or all there are, in its table."""
        ports: list[int] = []
        for _ in range(count):
            config = opendht.DhtConfig()
            config.setPeerDiscovery(False, False)
            config.setRateLimit(_NO_LIMIT, _NO_LIMIT)
            runner = opendht.DhtRunner()
            runner.run(port=0, ipv4=_HOST, config=config)
            for port in random.sample(ports, min(_JOINING_BY, len(ports))):
                runner.bootstrap(_HOST, str(port))
            ports.append(runner.getBound(socket.AF_INET).getPort())
            self._runners.append(runner)
        deadline = time.perf_counter() + _FILLING
        while min(self._table_sizes()) < min(_K, count - 1):
            if time.perf_counter() > deadline:
                raise RuntimeError("OpenDHT's tables do not fill")
            self.rest(0.1)

    def settle(self) -> None:
        """Random lookups by every node until the tables grow no more."""
        deadline = time.perf_counter() + _FILLING
        before, unchanged = 0, 0
        while unchanged < 3 and time.perf_counter() < deadline:
            self._look_up_random_keys()
            self.rest(1)
            size = sum(self._table_sizes())
            unchanged = unchanged + 1 if size <= before * 1.005 else 0
            before = max(before, size)

    def rest(self, seconds: float) -> None:
        """The runners have threads of their own."""
        time.sleep(seconds)

    def perform(self, kind: Kind, jobs: Sequence[Job], at_once: int, recorder: Recorder) -> None:
        """Keep so many operations in flight. A get ends with the first right value."""
        begin = self._begin_put if kind == "put" else self._begin_get
        ended = SimpleQueue[tuple[int, bool]]()
        queue = enumerate(recorder.while_there_is_time(jobs))
        in_flight: dict[int, float] = {}
        entry = next(queue, None)
        while entry is not None or in_flight:
            while entry is not None and len(in_flight) < at_once:
                number, job = entry
                in_flight[number] = time.perf_counter()
                begin(job, _reporter(ended, number))
                entry = next(queue, None)
            try:
                number, succeeded = ended.get(timeout=1.0)
            except Empty:
                limit = time.perf_counter() - _PATIENCE
                overdue = [number for number, began in in_flight.items() if began < limit]
                for number in overdue:
                    recorder.ended(in_flight.pop(number), False)
                continue
            # A get reports its value, and later that it is done.
            began = in_flight.pop(number, None)
            if began is not None:
                recorder.ended(began, succeeded)

    def stop(self, indexes: Sequence[int]) -> None:
        """End the runners' threads; ``shutdown`` would hand their values over before."""
        self._wait_for_callbacks()
        for index in indexes:
            self._runners[index].join()

    def lost(self, jobs: Sequence[Job], survivors: Sequence[int]) -> int:
        """How many values no survivor holds."""
        self._wait_for_callbacks()
        held: set[str] = set()
        for index in survivors:
            held.update(_HELD.findall(self._runners[index].getStorageLog()))
        return sum(job.key.hex() not in held for job in jobs)

    def calls(self) -> None:
        """Not to be known."""

    def _wait_for_callbacks(self) -> None:
        """Wait until no callback is due.

        A runner calls back with its own lock held. The bindings ask for a table, or end a runner,
        with the interpreter's lock held. So both would wait for each other.
        """
        deadline = time.perf_counter() + 2 * _PATIENCE
        while self._running:
            if time.perf_counter() > deadline:
                raise RuntimeError("an operation of OpenDHT does not end")
            time.sleep(0.01)
        time.sleep(0.05)  # the last callback returns

    def _table_sizes(self) -> list[int]:
        self._wait_for_callbacks()
        logs = (runner.getRoutingTablesLog(socket.AF_INET) for runner in self._runners)
        return [log.count("Node ") for log in logs]

    def _look_up_random_keys(self) -> None:
        for runner in self._runners:
            done_cb = self._register(lambda succeeded: None)
            runner.get(_hash(os.urandom(20)), get_cb=lambda value: True, done_cb=done_cb)

    def _register(self, report: Callable[[bool], None]) -> Callable[[bool, object], None]:
        """Return the last callback of an operation that begins."""
        operation = object()

        def done(succeeded: bool, nodes: object) -> None:
            report(succeeded)
            self._running.discard(operation)

        self._running.add(operation)
        return done

    def _begin_put(self, job: Job, report: Callable[[bool], None]) -> None:
        self._runners[job.writer].put(
            _hash(job.key),
            opendht.Value(job.value),
            done_cb=self._register(report),
        )

    def _begin_get(self, job: Job, report: Callable[[bool], None]) -> None:
        def found(value: Any) -> bool:
            is_right = bool(value.data == job.value)
            if is_right:
                report(True)
            return not is_right  # whether to go on

        self._runners[job.reader].get(
            _hash(job.key), get_cb=found, done_cb=self._register(lambda succeeded: report(False))
        )


def _reporter(ended: SimpleQueue[tuple[int, bool]], number: int) -> Callable[[bool], None]:
    return lambda succeeded: ended.put((number, succeeded))


def _hash(key: bytes) -> Any:
    return opendht.InfoHash(key.hex().encode())
