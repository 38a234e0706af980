"""Measurements shared by all implementations."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from kademlua.bench import VALUE_BYTES
from kademlua.core.ids import sha1

Kind = Literal["put", "get"]


@dataclass(frozen=True, slots=True)
class Job:
    """A value, the node that puts it, and the one that gets it."""

    value: bytes
    key: bytes
    writer: int
    reader: int

    def read_by(self, reader: int) -> Job:
        """The same value, for another to get."""
        return Job(self.value, self.key, self.writer, reader)


@dataclass(frozen=True, slots=True)
class Phase:
    """What one part of the workload took. Times are those of single operations, the CPU that
    of the whole process, which plays all nodes, by operation."""

    operations: int
    succeeded: int
    p50_ms: float
    p99_ms: float
    per_second: float
    cpu_ms: float
    rpcs: float | None
    """RPCs per operation, those of maintenance included; None where that can't be known."""


class Recorder:
    """Takes down the operations of a phase, and ends it when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.perf_counter() + seconds
        self.succeeded = 0
        self.times: list[float] = []

    def while_there_is_time(self, jobs: Sequence[Job]) -> Iterator[Job]:
        """The jobs, until the deadline."""
        for job in jobs:
            if time.perf_counter() > self.deadline:
                return
            yield job

    def ended(self, began: float, succeeded: bool) -> None:
        """Take down an operation that began then and has ended now."""
        self.times.append(time.perf_counter() - began)
        self.succeeded += succeeded


class Network(Protocol):
    """Nodes of one implementation, all in this process, on loopback."""

    def bring_up(self, count: int) -> None:
        """Start nodes and return when all have joined one network."""

    def settle(self) -> None:
        """Do whatever brings the nodes' tables to where they would come by themselves."""

    def rest(self, seconds: float) -> None:
        """Let the nodes run with nothing to do."""

    def perform(self, kind: Kind, jobs: Sequence[Job], at_once: int, recorder: Recorder) -> None:
        """Do the jobs' puts or gets, so many at a time, each one taken down."""

    def stop(self, indexes: Sequence[int]) -> None:
        """Silence some nodes at once, without a word to the others."""

    def calls(self) -> int | None:
        """How many RPCs all nodes have sent so far; None where that can't be known."""

    def lost(self, jobs: Sequence[Job], survivors: Sequence[int]) -> int | None:
        """How many jobs' values no survivor holds; None where that can't be known."""


def make_jobs(count: int, nodes: Sequence[int], rng: random.Random) -> list[Job]:
    """Values with a random writer and another random reader each."""
    jobs = []
    for _ in range(count):
        value = rng.randbytes(VALUE_BYTES)
        writer, reader = rng.sample(nodes, 2)
        # The key is what BitTorrent's DHT makes of an immutable value.
        jobs.append(Job(value, sha1(b"%d:%b" % (VALUE_BYTES, value)), writer, reader))
    return jobs


def measure(
    network: Network, kind: Kind, jobs: Sequence[Job], at_once: int, seconds: float
) -> Phase:
    """Perform the jobs, as many as are begun in so many seconds."""
    gc.collect()
    recorder = Recorder(seconds)
    calls_before = network.calls()
    cpu, began = time.process_time(), time.perf_counter()
    network.perform(kind, jobs, at_once, recorder)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    calls = network.calls()
    times = sorted(recorder.times)
    count = len(times)
    return Phase(
        operations=count,
        succeeded=recorder.succeeded,
        p50_ms=1000 * times[count // 2],
        p99_ms=1000 * times[min(count - 1, count * 99 // 100)],
        per_second=count / wall,
        cpu_ms=1000 * cpu / count,
        rpcs=None if calls is None or calls_before is None else (calls - calls_before) / count,
    )


def resident_bytes() -> int:
    """The process's resident memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
