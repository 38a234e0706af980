"""Runs a scenario from its first node to its metrics."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gevent

from kademlua.runtime.garbage_collection import relaxed_garbage_collection
from kademlua.simulation.clock.loop import run_virtual, sleep_until, virtual_now
from kademlua.simulation.network.latency import (
    ConstantLatency,
    CoordinateLatency,
    LatencyModel,
    LogNormalLatency,
)
from kademlua.simulation.network.network import VirtualNetwork
from kademlua.simulation.nodes.placement_audit import PlacementStats, audit
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.nodes.sybils import start_sybils
from kademlua.simulation.nodes.workload import Workload
from kademlua.simulation.report import packet_trace
from kademlua.simulation.report.metrics import MachineUsage, NetworkSample, RunResult
from kademlua.simulation.rng_streams import RngStreams
from kademlua.simulation.scenario.scenario import Scenario, ScenarioEvent

_SAMPLE_COUNT = 60
"""Samples of the network's state over the measured time."""
_AUDIT_EVERY = 4
"""Samples per audit of the stored values, which is slower."""
_SAMPLED_NODES = 100
"""Nodes whose routing tables each sample inspects."""
_PROGRESS_STEPS = 200
"""Calls of the progress callback per run."""

ProgressCallback = Callable[[float, float], None]
"""Called with the current and the final virtual time in seconds."""


def run(
    scenario: Scenario,
    seed: int,
    *,
    on_progress: ProgressCallback = lambda now, end: None,
    trace_path: Path | None = None,
) -> RunResult:
    """Run a scenario; equal seeds give equal results, except ``machine``.

    Args:
        trace_path: file to write each packet to, as a line of JSON.

    Raises:
        OSError: the trace cannot be written.
    """
    with relaxed_garbage_collection(), packet_trace.open_writer(trace_path) as writer:
        return run_virtual(lambda: _SimulationRun(scenario, seed, on_progress, writer).run())


class _SimulationRun:
    """One run, on virtual time."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        on_progress: ProgressCallback,
        writer: packet_trace.TraceWriter | None,
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._on_progress = on_progress
        self._streams = streams = RngStreams(seed)
        self._network = VirtualNetwork(
            streams, _latency_model(scenario, streams), scenario.conditions
        )
        self._population = Population(scenario, streams, self._network)
        on_operation = None if writer is None else writer.write_operation
        self._workload = Workload(scenario, streams, self._population, on_operation)
        self._placement = PlacementStats()
        self._samples: list[NetworkSample] = []
        self._rng = streams.stream("samples")
        self._node_seconds = 0.0
        if writer is not None:
            self._population.traffic.on_sent = writer.record_sent
            self._network.set_observer(writer.write_packet)

    def run(self) -> RunResult:
        """Run all phases of the scenario; block until the end."""
        scenario, population = self._scenario, self._population
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        progress_greenlet = gevent.spawn(self._report_progress)
        population.start_all()
        joining_seconds = time.perf_counter() - wall_start
        gevent.sleep(scenario.settle)
        if scenario.sybils is not None:
            start_sybils(scenario.sybils, self._streams, population)
        self._workload.warm_up()
        population.start_churn()
        population.traffic.reset()
        gevent.spawn(self._sample_periodically)
        for event in sorted(scenario.events, key=lambda each: each.at):
            gevent.spawn_later(event.at, self._apply_event, event)
        self._workload.run()
        progress_greenlet.kill()
        wall_seconds = time.perf_counter() - wall_start
        network = self._network
        return RunResult(
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
                "raised": network.handler_errors,
            },
            bulk=self._workload.bulk.costs,
            machine=MachineUsage(
                wall_seconds=wall_seconds,
                cpu_seconds=time.process_time() - cpu_start,
                joining_wall_seconds=joining_seconds,
                packets_a_wall_second=network.delivered / wall_seconds,
                memory_mb=_peak_memory_bytes() / 1e6,
            ),
        )

    def _report_progress(self) -> None:
        end = self._scenario.measure_end
        while True:
            self._on_progress(min(virtual_now(), end), end)
            gevent.sleep(end / _PROGRESS_STEPS)

    def _apply_event(self, event: ScenarioEvent) -> None:
        population = self._population
        if event.action == "vanish":
            population.vanish(event.share)
        elif event.action == "partition":
            population.partition(event.share)
        elif event.action == "heal":
            population.heal()
        else:
            population.pause(event.share, event.duration)

    def _sample_periodically(self) -> None:
        interval = self._scenario.duration / _SAMPLE_COUNT
        for number in range(_SAMPLE_COUNT + 1):
            sleep_until(self._scenario.measure_start + number * interval)
            if number:
                self._node_seconds += interval * len(self._population.live_members)
            if number % _AUDIT_EVERY == 0:
                self._audit_placement()
            self._samples.append(self._take_sample(number * interval))

    def _take_sample(self, at: float) -> NetworkSample:
        population = self._population
        live = sorted(population.live_members, key=lambda each: each.number)
        chosen = self._rng.sample(live, min(_SAMPLED_NODES, len(live)))
        k = self._scenario.params.k
        contacts = dead = known = neighbours = hostile = 0
        for member in chosen:
            table = member.live_node.table
            contacts += len(table)
            dead += sum(not population.is_running(contact) for contact in table)
            hostile += sum(contact in population.attackers for contact in table)
            true_neighbours = population.closest(member.id, member, virtual_now(), k)
            neighbours += len(true_neighbours)
            known += sum(
                table.get(each.to_bytes(20, "big")) is not None for each in true_neighbours
            )
        traffic = population.traffic
        return NetworkSample(
            at=at,
            nodes=len(live),
            arrivals=population.arrivals,
            departures=population.departures,
            dead_contacts=dead / max(contacts, 1),
            neighbours=known / max(neighbours, 1),
            hostile_contacts=hostile / max(contacts, 1),
            hostile_near_key=population.hostile_near_key(),
            contacts=contacts / max(len(chosen), 1),
            requests_by_rpc=dict(traffic.requests_by_rpc),
            bytes_by_rpc=dict(traffic.bytes_by_rpc),
            bytes_by_purpose=dict(traffic.bytes_by_purpose),
            placement=self._placement,
        )

    def _audit_placement(self) -> None:
        if self._scenario.has_values:
            self._placement = audit(self._population, self._workload.values, self._rng)


def _latency_model(scenario: Scenario, streams: RngStreams) -> LatencyModel:
    network = scenario.network
    one_way = network.round_trip / 2
    if network.latency == "constant":
        return ConstantLatency(one_way)
    if network.latency == "lognormal":
        return LogNormalLatency(streams, one_way, network.sigma)
    return CoordinateLatency(streams, one_way)


def _peak_memory_bytes() -> float:
    """Return the peak resident memory of the process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
