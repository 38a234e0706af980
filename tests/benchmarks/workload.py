"""The workload, run by one implementation in its own process."""

from __future__ import annotations

import gc
import importlib.util
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.measuring import Network, Phase, make_jobs, measure, resident_bytes

AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Contender:
    """An implementation that takes part."""

    name: str
    make: Callable[[], Network]
    module: str | None = None
    """What has to be installed for it."""

    def missing(self) -> str | None:
        """Why it can't take part; None where it can."""
        if self.module is None or importlib.util.find_spec(self.module):
            return None
        return f"{self.module} is not installed: pip install -e '.[bench]'"


def _kademlua(replicas: int) -> Callable[[], Network]:
    def make() -> Network:
        from tests.benchmarks.on_gevent import KademluaNetwork

        return KademluaNetwork(replicas)

    return make


def _libtorrent() -> Network:
    from tests.benchmarks.on_libtorrent import LibtorrentNetwork

    return LibtorrentNetwork()


def _opendht() -> Network:
    from tests.benchmarks.on_opendht import OpenDhtNetwork

    return OpenDhtNetwork()


def _kademlia() -> Network:
    from tests.benchmarks.on_asyncio import KademliaNetwork

    return KademliaNetwork()


# Each imports its library only in the process that plays it.
CONTENDERS = (
    Contender("kademlua-8", _kademlua(8)),
    Contender("kademlua-20", _kademlua(20)),
    Contender("libtorrent", _libtorrent, "libtorrent"),
    Contender("opendht", _opendht, "opendht"),
    Contender("kademlia", _kademlia, "kademlia"),
)


@dataclass(slots=True)
class Result:
    """The figures of one implementation in one round."""

    name: str
    nodes: int
    joined_s: float = 0.0
    joined_cpu_s: float = 0.0
    kb_per_node: float = 0.0
    """Growth of resident memory by a node that has joined, in units of 1,000 bytes."""
    phases: dict[str, Phase] = field(default_factory=dict)
    lost: dict[str, int | None] = field(default_factory=dict)
    """Values that no survivor holds, by the phase that looks for them."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """What ``to_json`` made."""
        phases = {name: Phase(**phase) for name, phase in data["phases"].items()}
        return cls(**(data | {"phases": phases}))


def run(contender: Contender, nodes: int, operations: int, seed: int, seconds: float) -> Result:
    """Play the whole workload; no phase begins operations for longer than ``seconds``."""
    random.seed(seed)  # for libraries that know no other generator
    rng = random.Random(seed)
    result = Result(contender.name, nodes)
    network = contender.make()
    _join(network, result)
    network.settle()

    everybody = range(nodes)
    jobs = {count: make_jobs(operations, everybody, rng) for count in (1, AT_ONCE)}
    for count in jobs:
        for kind in ("put", "get"):
            phase = measure(network, kind, jobs[count], count, seconds)
            result.phases[f"{kind} {count}"] = phase
            # Only what was put can be found.
            jobs[count] = jobs[count][: phase.operations]

    survivors = rng.sample(everybody, nodes)
    for share in (30, 50):
        remaining = nodes - nodes * share // 100
        network.stop(survivors[remaining:])
        del survivors[remaining:]
        for count in jobs:
            wanted = [
                job.read_by(rng.choice([i for i in survivors if i != job.writer]))
                for job in jobs[count]
            ]
            name = f"get {count} after {share}"
            result.phases[name] = measure(network, "get", wanted, count, seconds)
            done = wanted[: result.phases[name].operations]
            result.lost[name] = network.lost(done, survivors)
    return result


def _join(network: Network, result: Result) -> None:
    gc.collect()
    memory, cpu, began = resident_bytes(), time.process_time(), time.perf_counter()
    network.bring_up(result.nodes)
    result.joined_s = time.perf_counter() - began
    result.joined_cpu_s = time.process_time() - cpu
    network.rest(0.5)  # probes and pings that were owed
    gc.collect()
    result.kb_per_node = (resident_bytes() - memory) / result.nodes / 1000
