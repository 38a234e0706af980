"""What an honest peer sees during an attack, and what memory it costs."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

import gevent

from kademlua import Node, sha1
from kademlua.core.errors import KademluaError
from tests.security.attacks.attackers import ATTACKS
from tests.security.attacks.served import ServedNode, memory_of

MIN_FOUND_SHARE = 0.99
MAX_P99 = 0.05
"""Seconds."""
MAX_GROWTH = 20e6
"""Bytes."""
QUIET = "none"
"""Measured like an attack, for comparison."""
NAMES = [QUIET, *ATTACKS]
_VALUE_COUNT = 50
_WARM_UP = 1.0
"""Seconds of finds before the attack."""
_PAUSE = 0.005
"""Seconds between two finds: a peer without contacts fails immediately."""
_GIVE_UP_AT = 300e6
"""Bytes of growth at which the attack ends, for the sake of the machine."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of one attack."""

    attack: str
    find_count: int
    found_share: float
    p50: float
    """Seconds, of the finds that found; so is the P99. Infinite if none did."""
    p99: float
    node_growth: int
    """Bytes of memory that the node has more after the attack, at most."""
    peer_growth: int
    cpu_share: float
    """CPU seconds that the node used in a second."""

    @property
    def is_within_limits(self) -> bool:
        """Whether the honest peer is served and the memory is bounded."""
        return (
            self.found_share >= MIN_FOUND_SHARE
            and self.p99 <= MAX_P99
            and max(self.node_growth, self.peer_growth) < MAX_GROWTH
        )


class _Finder:
    """The honest peer: finds values that only the attacked node has."""

    def __init__(self, peer: Node) -> None:
        self._peer = peer
        self._keys = [sha1(f"key {number}") for number in range(_VALUE_COUNT)]
        for key in self._keys:
            peer.add(key, b"value")
            peer.datastore.remove(key, peer.contact)
        self._times: list[float] = []
        """Seconds of the finds that found."""
        self._count = 0

    def find(self) -> None:
        """Find one value."""
        started_at = time.perf_counter()
        self._count += 1
        with suppress(KademluaError):
            if self._peer.find_value(random.choice(self._keys), max_nodes=1):
                self._times.append(time.perf_counter() - started_at)
        gevent.sleep(_PAUSE)

    def reset(self) -> None:
        """Forget the finds so far."""
        self._times, self._count = [], 0

    def results(self) -> tuple[int, float, float, float]:
        """Return the number of finds, the share that found, and the P50 and P99 in seconds."""
        times = sorted(self._times) or [math.inf]
        found_share = len(self._times) / self._count
        return self._count, found_share, times[len(times) // 2], times[len(times) * 99 // 100]


def measure(attack: str, seconds: float, *, value_count: int = 1_000) -> Figures:
    """Attack a node on a core of its own for some seconds, and find values there meanwhile."""
    node_cpu, other_cpus = _divide_cpus()
    with (
        ServedNode(node_cpu, value_count) as served,
        _pinned(other_cpus),
        Node(bootstrap=[served.endpoint]) as peer,
    ):
        finder = _Finder(peer)
        _find_for(_WARM_UP, finder)
        finder.reset()
        before = served.memory_bytes(), memory_of(os.getpid())
        cpu, began = served.cpu_seconds(), time.monotonic()
        with _attackers(attack, served):
            growth = _watch(seconds, finder, served, before)
        used = (served.cpu_seconds() - cpu) / (time.monotonic() - began)
    count, found_share, p50, p99 = finder.results()
    return Figures(attack, count, found_share, p50, p99, growth[0], growth[1], used)


def _find_for(seconds: float, finder: _Finder) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        finder.find()


def _watch(
    seconds: float, finder: _Finder, served: ServedNode, before: tuple[int, int]
) -> tuple[int, int]:
    """Find values for some seconds; return how much the memory of node and peer grew at most."""
    deadline = time.monotonic() + seconds
    growth = 0, 0
    while time.monotonic() < deadline and max(growth) < _GIVE_UP_AT:
        finder.find()
        now = served.memory_bytes(), memory_of(os.getpid())
        growth = max(growth[0], now[0] - before[0]), max(growth[1], now[1] - before[1])
    return growth


@contextmanager
def _attackers(attack: str, served: ServedNode) -> Iterator[None]:
    if attack == QUIET:
        yield
        return
    ports = str(served.endpoint[1]), str(served.http_endpoint[1])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.security.attacks.attackers", attack, *ports]
    )
    try:
        if attack == "liars":
            gevent.sleep(1)  # the node has to know them
            served.start_reading()
        yield
    finally:
        process.kill()
        process.wait()


def _divide_cpus() -> tuple[int, set[int]]:
    """Return the core of the node, and the others; the same one if there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return 0, set()
    first, *others = sorted(os.sched_getaffinity(0))
    return first, set(others) or {first}


@contextmanager
def _pinned(cpus: set[int]) -> Iterator[None]:
    """Keep this process, and those that it starts, on some cores."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def as_table(figures: list[Figures]) -> str:
    """Return the figures as text."""
    lines = [
        f"{'attack':18} {'finds':>7} {'found':>8} {'P50':>9} {'P99':>9} {'node':>9} {'peer':>9}"
        f" {'CPU':>6}"
    ]
    for each in figures:
        mark = "" if each.is_within_limits else "  over a limit"
        lines.append(
            f"{each.attack:18} {each.find_count:7,} {each.found_share:8.2%}"
            f" {1e3 * each.p50:6.1f} ms {1e3 * each.p99:6.1f} ms"
            f" {each.node_growth / 1e6:+6.1f} MB {each.peer_growth / 1e6:+6.1f} MB"
            f" {each.cpu_share:6.0%}{mark}"
        )
    return "\n".join(lines)


def as_json(each: Figures) -> dict[str, object]:
    """Return the figures of an attack for JSON."""
    return asdict(each) | {"is_within_limits": each.is_within_limits}
