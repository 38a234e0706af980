"""Benchmark of adds and finds in a network of nodes in one process, on loopback."""

from __future__ import annotations

import gc
import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import gevent
from gevent.pool import Pool

from kademlua.core.contact import ContactPool
from kademlua.core.errors import KademluaError
from kademlua.core.ids import sha1
from kademlua.core.params import Params
from kademlua.node.node import Node
from kademlua.node.options import NodeOptions
from kademlua.runtime.garbage_collection import relaxed_garbage_collection
from kademlua.terminal.text import resident_kb

VALUE_BYTES = 100
_JOIN_CONCURRENCY = 8

Progress = Callable[[str, int, int], None]
"""Called with the name of a phase, the number of operations done, and their total."""


@dataclass(frozen=True, slots=True)
class PhaseResult:
    """Figures of one phase. ``p50_ms`` and ``p99_ms`` are latencies of single operations.

    ``cpu_ms`` is the CPU time per operation of the process, which runs all nodes."""

    name: str
    operations: int
    succeeded: int
    p50_ms: float
    p99_ms: float
    per_second: float
    cpu_ms: float


@dataclass(slots=True)
class BenchResult:
    """The figures of one run."""

    nodes: int
    replicas: int
    joined_s: float = 0.0
    """Seconds from the first bind until the last node had joined."""
    joined_cpu_s: float = 0.0
    kb_per_node: float = 0.0
    """Resident memory per idle node, in units of 1,000 bytes."""
    phases: list[PhaseResult] = field(default_factory=list)


def run(
    nodes: int,
    operations: int,
    *,
    concurrency: int = 32,
    replicas: int = 20,
    seed: int = 1,
    progress: Progress = lambda name, done, total: None,
) -> BenchResult:
    """Start ``nodes`` nodes, then add and find ``operations`` values.

    All phases run twice: one operation at a time, then ``concurrency`` at a time.

    Raises:
        KademluaError: a node did not join.
    """
    result = BenchResult(nodes, replicas)
    network: list[Node] = []
    try:
        with relaxed_garbage_collection():
            _start_network(network, Params(replicas=replicas), result, progress)
        rng = random.Random(seed)
        result.phases = [
            phase
            for count in (1, concurrency)
            for phase in _add_and_find(network, operations, count, rng, progress)
        ]
    finally:
        for node in network:
            node.close(hand_over=False)
    return result


def _start_network(
    network: list[Node], params: Params, result: BenchResult, progress: Progress
) -> None:
    """Add nodes to ``network``, and wait until they have joined; record the cost in ``result``."""
    count, pool = result.nodes, ContactPool()
    gc.collect()
    memory, cpu, started_at = _memory_kb(), time.process_time(), time.perf_counter()
    first = Node(params=params, options=NodeOptions(contact_pool=pool))
    network.append(first)
    first.start()
    bootstrap = [first.contact.endpoint]

    def join(_: int) -> None:
        node = Node(params=params, bootstrap=bootstrap, options=NodeOptions(contact_pool=pool))
        network.append(node)
        node.start()
        node.wait_joined()
        progress("join", len(network), count)

    # Joining all nodes concurrently would distort the memory figure with a peak.
    Pool(_JOIN_CONCURRENCY).map(join, range(count - 1))
    if not all(node.joined for node in network):
        raise KademluaError("a node did not join")
    result.joined_s = time.perf_counter() - started_at
    result.joined_cpu_s = time.process_time() - cpu
    gevent.sleep(0.5)  # let outstanding probes finish
    gc.collect()
    result.kb_per_node = (_memory_kb() - memory) * 1.024 / count


def _add_and_find(
    network: list[Node], operations: int, concurrency: int, rng: random.Random, progress: Progress
) -> list[PhaseResult]:
    """Add values from random nodes, then find each from another random node."""
    jobs = []
    for index in range(operations):
        writer = rng.choice(network)
        reader = rng.choice(network)
        while reader is writer and len(network) > 1:
            reader = rng.choice(network)
        jobs.append((sha1(f"{concurrency} {index}"), rng.randbytes(VALUE_BYTES), writer, reader))

    def add(number: int) -> bool:
        key, value, writer, _ = jobs[number]
        return bool(writer.add(key, value).acknowledged)

    def find(number: int) -> bool:
        key, value, _, reader = jobs[number]
        return any(value in answer.values for answer in reader.find_value(key))

    suffix = "" if concurrency == 1 else f", {concurrency} at a time"
    return [
        _measure(name + suffix, operation, operations, concurrency, progress)
        for name, operation in (("add", add), ("find", find))
    ]


def _measure(
    name: str,
    operation: Callable[[int], bool],
    count: int,
    concurrency: int,
    progress: Progress,
) -> PhaseResult:
    times: list[float] = []
    succeeded: set[int] = set()

    def run_one(number: int) -> None:
        op_started_at = time.perf_counter()
        try:
            if operation(number):
                succeeded.add(number)
        except KademluaError:
            pass  # counted by its absence from succeeded
        times.append(time.perf_counter() - op_started_at)
        if len(times) % 50 == 0:
            progress(name, len(times), count)

    gc.collect()
    cpu, started_at = time.process_time(), time.perf_counter()
    if concurrency == 1:
        for number in range(count):
            run_one(number)
    else:
        workers = Pool(concurrency)
        for number in range(count):
            workers.spawn(run_one, number)
        workers.join()
    elapsed, cpu = time.perf_counter() - started_at, time.process_time() - cpu
    times.sort()
    return PhaseResult(
        name=name,
        operations=count,
        succeeded=len(succeeded),
        p50_ms=1000 * times[count // 2],
        p99_ms=1000 * times[min(count - 1, count * 99 // 100)],
        per_second=count / elapsed,
        cpu_ms=1000 * cpu / count,
    )


def _memory_kb() -> int:
    """Return the resident memory of the process in kB; where that is unknown, its peak."""
    return resident_kb() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
