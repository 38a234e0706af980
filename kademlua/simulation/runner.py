"""Run: one scenario from its first node to its figures."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent

from kademlua.simulation.clock.loop import run_virtual, virtual_now
from kademlua.simulation.network.latency import Constant, Coordinates, Latency, LogNormal
from kademlua.simulation.network.network import Conditions, VirtualNetwork
from kademlua.simulation.nodes.placement_audit import Held, look
from kademlua.simulation.nodes.population import Member, Population
from kademlua.simulation.nodes.workload import Workload
from kademlua.simulation.report import packet_trace
from kademlua.simulation.report.metrics import Machine, Result, Sample
from kademlua.simulation.rng_streams import Streams
from kademlua.simulation.scenario.scenario import Event, Scenario

_SAMPLES = 60
"""Looks at the network's state while measuring."""
_HOLDINGS_EVERY = 4
"""Of these, one in so many also at what is stored where, which takes much longer."""
_LOOKED_AT = 100
"""Nodes whose tables are looked at each time."""
_STEPS = 200
"""How often progress is told of."""

Progress = Callable[[float, float], None]
"""Told of the virtual seconds that are over, and of how many there will be."""


def run(
    scenario: Scenario,
    seed: int,
    *,
    progress: Progress = lambda now, end: None,
    trace_to: Path | None = None,
) -> Result:
    """Run a scenario; the result is the same for the same seed but for ``machine``.

    With ``trace_to`` each packet is written there as a line of JSON. OSError where that
    can't be.
    """
    with _less_garbage_collection(), packet_trace.writing(trace_to) as writer:
        return run_virtual(lambda: _Run(scenario, seed, progress, writer).result())


class _Run:
    """One run, on virtual time."""

    def __init__(
        self, scenario: Scenario, seed: int, progress: Progress, writer: packet_trace.Writer | None
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._progress = progress
        self._streams = streams = Streams(seed)
        self._network = VirtualNetwork(streams, _latency(scenario, streams), _conditions(scenario))
        self._population = Population(scenario, streams, self._network)
        self._workload = Workload(scenario, streams, self._population)
        self._held = Held()
        self._samples: list[Sample] = []
        self._chance = streams.stream("samples")
        self._node_seconds = 0.0
        self._before: tuple[dict[str, int], ...] = ({}, {}, {})
        if writer is not None:
            self._population.traffic.listener = writer.sent
            self._network.observe(writer.packet)
            self._workload.listen(writer.operation)

    def result(self) -> Result:
        """Do it all; blocks until the end."""
        scenario, population = self._scenario, self._population
        began, cpu = time.perf_counter(), time.process_time()
        ticking = gevent.spawn(self._tell_progress)
        population.join_all()
        joining = time.perf_counter() - began
        gevent.sleep(scenario.settle)
        if scenario.sybils is not None:
            population.let_sybils_in(scenario.sybils)
        self._workload.warm_up()
        population.start_churn()
        traffic = population.traffic
        self._before = (dict(traffic.requests), dict(traffic.bytes), dict(traffic.causes))
        gevent.spawn(self._look_at_state)
        for event in sorted(scenario.events, key=lambda each: each.at):
            gevent.spawn_later(event.at, self._befall, event)
        self._workload.run()
        ticking.kill()
        wall = time.perf_counter() - began
        network = self._network
        return Result(
            scenario=scenario,
            seed=self._seed,
            fingerprint=network.fingerprint(),
            operations=self._workload.operations,
            abandoned=self._workload.abandoned,
            unfinished=self._workload.unfinished,
            samples=self._samples,
            node_seconds=self._node_seconds,
            packets={
                "sent": network.sent,
                "delivered": network.delivered,
                **{f"lost: {reason}": count for reason, count in sorted(network.lost.items())},
                "raised": network.raised,
            },
            machine=Machine(
                wall_seconds=wall,
                cpu_seconds=time.process_time() - cpu,
                joining_wall_seconds=joining,
                packets_a_wall_second=network.delivered / wall,
                memory_mb=_peak_memory() / 1e6,
            ),
        )

    def _tell_progress(self) -> None:
        end = self._scenario.ends
        while True:
            self._progress(min(virtual_now(), end), end)
            gevent.sleep(end / _STEPS)

    def _befall(self, event: Event) -> None:
        population = self._population
        if event.action == "vanish":
            population.vanish(event.share)
        elif event.action == "partition":
            population.partition(event.share)
        elif event.action == "heal":
            population.heal()
        else:
            population.pause(event.share, event.lasts)

    def _look_at_state(self) -> None:
        step = self._scenario.duration / _SAMPLES
        for number in range(_SAMPLES + 1):
            gevent.sleep(max(0.0, self._scenario.begins + number * step - virtual_now()))
            if number:
                self._node_seconds += step * len(self._population.living)
            if number % _HOLDINGS_EVERY == 0:
                self._look_at_holdings()
            self._samples.append(self._sample(number * step))

    def _sample(self, at: float) -> Sample:
        population = self._population
        living = sorted(population.living, key=lambda each: each.number)
        chosen = self._chance.sample(living, min(_LOOKED_AT, len(living)))
        contacts = dead = known = near = hostile = 0
        for member in chosen:
            node = member.node
            assert node is not None
            table = node.table
            contacts += len(table)
            dead += sum(not population.is_up(contact) for contact in table)
            hostile += sum(contact in population.gang for contact in table)
            truth = self._neighbours(member)
            near += len(truth)
            known += sum(table.get(each.to_bytes(20, "big")) is not None for each in truth)
        requests, sent, causes = self._before
        traffic = population.traffic
        return Sample(
            at=at,
            nodes=len(living),
            came=population.came,
            left=population.left,
            dead_contacts=dead / max(contacts, 1),
            neighbours=known / max(near, 1),
            hostile_contacts=hostile / max(contacts, 1),
            hostile_near_key=population.hostile_near_key(),
            contacts=contacts / max(len(chosen), 1),
            requests={kind: n - requests.get(kind, 0) for kind, n in traffic.requests.items()},
            bytes={kind: n - sent.get(kind, 0) for kind, n in traffic.bytes.items()},
            causes={cause: n - causes.get(cause, 0) for cause, n in traffic.causes.items()},
            held=self._held,
        )

    def _look_at_holdings(self) -> None:
        if self._scenario.has_values:
            self._held = look(self._population, self._workload.values, self._chance)

    def _neighbours(self, member: Member) -> list[int]:
        k = self._scenario.params.k
        return self._population.closest(member.id, member, virtual_now(), k)


def _latency(scenario: Scenario, streams: Streams) -> Latency:
    network = scenario.network
    one_way = network.round_trip / 2
    if network.latency == "constant":
        return Constant(one_way)
    if network.latency == "lognormal":
        return LogNormal(streams, one_way, network.sigma)
    return Coordinates(streams, one_way, access=min(0.005, one_way / 10))


def _conditions(scenario: Scenario) -> Conditions:
    network = scenario.network
    return Conditions(
        loss=network.loss,
        duplication=network.duplication,
        reordering=network.reordering,
        jitter=network.jitter,
        max_packet=network.max_packet,
        bandwidth=network.bandwidth,
        queue=network.queue,
    )


@contextmanager
def _less_garbage_collection() -> Iterator[None]:
    """Thousands of nodes are much to look through, and little of it is garbage in cycles."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()


def _peak_memory() -> float:
    """Bytes of the process's memory at its peak."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
