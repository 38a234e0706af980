"""An object to and from a network: bytes per second, CPU and memory of the client.

The nodes are in two processes, the client in a third: ``python -m tests.benchmarks.objects serve
COUNT [PORT]`` and ``... use PORT BYTES SEED``.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import gevent

from kademlua import ContactPool, Node, NodeOptions, Params

PARAMS = Params(replicas=8, bootstrap_retry=0.05)
_HOST = "127.0.0.1"
_PROCESSES = 2
_PART_BYTES = 1 << 20
_SETTLE = 2.0
"""Seconds until the nodes know each other."""


@dataclass(frozen=True)
class ObjectFigures:
    """The figures of one direction."""

    direction: str
    bytes: int
    seconds: float
    cpu_seconds: float
    """CPU of the client."""
    memory_mb: float
    """Peak resident memory of the client so far."""


class Content:
    """A stream of random bytes that depend on a seed, so that nothing has to keep them."""

    def __init__(self, size: int, seed: int) -> None:
        self._left = size
        self._rng = random.Random(seed)

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, of which there is a multiple of four; none at the end."""
        size = min(size, self._left)
        self._left -= size
        return self._rng.randbytes(size)


def measure_objects(nodes: int, size: int, seed: int) -> list[ObjectFigures]:
    """Store an object in a network and read it; the figures of both directions."""
    with ExitStack() as stack:
        port = stack.enter_context(_served(nodes // _PROCESSES))
        for _ in range(_PROCESSES - 1):
            stack.enter_context(_served(nodes // _PROCESSES, port))
        time.sleep(_SETTLE)
        command = [*_command("use"), str(port), str(size), str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [ObjectFigures(**each) for each in json.loads(done.stdout)]


def objects_text(found: list[ObjectFigures]) -> str:
    """Return the figures as a table."""
    rows = [
        f"| {each.direction} | {each.bytes / 1e6 / each.seconds:.1f} |"
        f" {each.cpu_seconds:.1f} | {each.memory_mb:.0f} |"
        for each in found
    ]
    return "\n".join(["| | MB/s | client CPU, s | memory, MB |", "|---|---:|---:|---:|", *rows])


def _command(action: str) -> list[str]:
    return [sys.executable, "-m", "tests.benchmarks.objects", action]


@contextmanager
def _served(count: int, bootstrap: int = 0) -> Iterator[int]:
    """Run nodes in a process of their own; yield the port of the first when all have joined."""
    command = [*_command("serve"), str(count), str(bootstrap)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _serve(count: int, bootstrap: int) -> None:
    pool = ContactPool()
    nodes: list[Node] = []
    for _ in range(count):
        known = bootstrap or (nodes[0].contact.port if nodes else 0)
        options = NodeOptions(contact_pool=pool)
        addresses = [(_HOST, known)] if known else []
        nodes.append(Node(0, _HOST, bootstrap=addresses, params=PARAMS, options=options))
        nodes[-1].start()
    for node in nodes:
        node.wait_joined(30)
    print(nodes[0].contact.port, flush=True)
    gevent.get_hub().threadpool.apply(sys.stdin.read)  # until the benchmark has ended


def _use(port: int, size: int, seed: int) -> None:
    with Node(bootstrap=[(_HOST, port)], read_only=True, params=PARAMS) as client:
        key = b""

        def put() -> None:
            nonlocal key
            key = client.put_object(Content(size, seed))

        def get() -> None:
            content = Content(size, seed)
            with client.open_object(key) as reader:
                while part := reader.read(_PART_BYTES):
                    if part != content.read(len(part)):
                        raise RuntimeError("the object differs from what was stored")

        found = [_measured("put", put, size), _measured("get", get, size)]
    print(json.dumps([asdict(each) for each in found]))


def _measured(direction: str, run: Callable[[], None], size: int) -> ObjectFigures:
    started_at, cpu = time.perf_counter(), time.process_time()
    run()
    seconds, cpu_seconds = time.perf_counter() - started_at, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return ObjectFigures(direction, size, seconds, cpu_seconds, memory)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]), int(sys.argv[3]))
    else:
        _use(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
