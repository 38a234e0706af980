"""The result of a run as text and as JSON."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from typing import Any

import kademlua
from kademlua.core.durations import format_duration
from kademlua.simulation.report.metrics import RequirementResult, RunResult, evaluate
from kademlua.simulation.scenario.scenario import (
    BULK_RATIOS,
    MACHINE_METRICS,
    METRICS,
    SECONDS,
    SHARE,
)

_OPERATION_LABELS = {
    "rpcs_a_lookup": "queries per lookup",
    "recall": "recall of the k closest",
    "finds": "successful finds",
    "crossing_finds": "finds across partition",
    "finds_one_path": "finds on one path",
    "finds_many_paths": "finds on {paths} paths",
    "paths_latency": "latency ratio of paths",
    "adds": "successful adds",
    "objects": "objects read completely",
    "changes": "changes seen by watchers",
    "bulk_adds": "bulk adds with all replicas",
    "bulk_packets": "packets of bulk / single adds",
    "bulk_time": "time of bulk / single adds",
}
_NETWORK_LABELS = {
    "dead_contacts": "dead contacts",
    "neighbours": "true neighbours known",
    "hostile_contacts": "hostile contacts",
    "hostile_near_key": "hostile near the key",
}
_VALUE_LABELS = {
    "kept": "values kept",
    "placed": "held by closest nodes",
    "holders": "replicas per value",
    "values_a_node": "values per node",
    "early_end": "max. early expiry",
    "late_end": "max. late expiry",
}


def format_text(result: RunResult) -> str:
    """Return the report as text."""
    scenario = result.scenario
    title = [
        f"{scenario.title}: {scenario.description}",
        f"{scenario.nodes:,} nodes, {format_duration(scenario.duration)} measured, "
        f"seed {result.seed}",
    ]
    outcomes = [f"  {requirement_text(each)}" for each in evaluate(result)]
    sections = (
        title,
        _latency_lines(result),
        _operation_lines(result),
        _network_lines(result),
        _metric_lines(result, _VALUE_LABELS),
        _rpc_lines(result),
        ["the same bytes by purpose"]
        + [f"  {cause:36}{size:12.1f}" for cause, size in result.purpose_rates().items()],
        _run_lines(result),
        ["requirements:", *outcomes] if outcomes else [],
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _latency_lines(result: RunResult) -> list[str]:
    lines = [f"{'':22}{'ok':>16}{'p50':>10}{'p90':>10}{'p99':>10}"]
    for title, metric, kind in (
        ("lookups", "lookup", "lookup"),
        ("adds", "add", "add"),
        ("finds", "find", "find"),
        ("objects", "object", "object"),
        ("changes", "change", "change"),
        ("hops of lookups", "hops", None),
    ):
        ok = [each.ok for each in result.operations if each.kind == kind and each.started_at >= 0]
        names = [f"{metric}_p{percent}" for percent in (50, 90, 99)]
        cells = [format_metric(name, result.metrics[name]) for name in names]
        if ok or kind is None:
            successes = f"{sum(ok)}/{len(ok)}" if ok else ""
            lines.append(f"{title:22}{successes:>16}" + "".join(f"{cell:>10}" for cell in cells))
    return lines


def _operation_lines(result: RunResult) -> list[str]:
    counts = (("abandoned", result.abandoned), ("unfinished", result.unfinished))
    return _metric_lines(result, _OPERATION_LABELS) + [
        _line(f"{word} operations", f"{count:,}") for word, count in counts if count
    ]


def _network_lines(result: RunResult) -> list[str]:
    first, last = result.samples[0], result.samples[-1]
    lines = [_line("nodes", f"{first.nodes:,} at the start, {last.nodes:,} at the end")]
    if last.arrivals or last.departures:
        lines.append(_line("joined, left", f"{last.arrivals:,}, {last.departures:,}"))
    lines.append(_line("contacts per table", f"{last.contacts:.0f}"))
    return lines + _metric_lines(result, _NETWORK_LABELS)


def _metric_lines(result: RunResult, labels: dict[str, str]) -> list[str]:
    """Return a line for each metric that was measured and says something about the scenario."""
    paths = result.scenario.workload.paths
    skipped = {"finds_one_path"} if paths == 1 else set()
    if not result.scenario.has_adversaries:
        skipped |= {"hostile_contacts", "hostile_near_key"}
    return [
        _line(label.format(paths=paths), format_metric(name, result.metrics[name]))
        for name, label in labels.items()
        if name not in skipped and result.metrics[name] is not None
    ]


def _line(label: str, value: str) -> str:
    return f"{label:28}{value:>10}"


def _rpc_lines(result: RunResult) -> list[str]:
    rates = result.rpc_rates()
    rates["total"] = (
        sum(rpcs for rpcs, _ in rates.values()),
        sum(size for _, size in rates.values()),
    )
    return [f"{'per node and second':26}{'RPCs':>12}{'bytes':>12}"] + [
        f"  {kind:24}{rpcs:12.4f}{size:12.1f}" for kind, (rpcs, size) in rates.items()
    ]


def _run_lines(result: RunResult) -> list[str]:
    machine = result.machine
    packets = [f"{count:,} {name}" for name, count in result.packets.items() if count]
    return [
        f"packets: {', '.join(packets)}",
        f"this machine: {machine.wall_seconds:.1f} s, {machine.cpu_seconds:.1f} s of CPU "
        f"({machine.joining_wall_seconds:.1f} s for joining), "
        f"{machine.packets_a_wall_second:,.0f} packets/s, {machine.memory_mb:,.0f} MB",
        f"fingerprint {result.fingerprint}",
    ]


def requirement_text(outcome: RequirementResult) -> str:
    """Return a requirement and its result in one line."""
    metric = outcome.requirement.metric
    word = "met   " if outcome.is_met else "MISSED"
    measured = format_metric(metric, outcome.value) or "nothing measured"
    return f"{word} {outcome.requirement.text}: {measured}"


def to_json(result: RunResult) -> dict[str, Any]:
    """Return the report as JSON values.

    Equal seeds give equal values, except ``machine`` and requirements about it.
    """
    scenario = result.scenario
    failures = Counter(f"{e.kind}: {e.failure_reason}" for e in result.operations if not e.ok)
    return {
        "kademlua": kademlua.__version__,
        "scenario": scenario.name,
        "seed": result.seed,
        "nodes": scenario.nodes,
        "seconds": scenario.duration,
        "fingerprint": result.fingerprint,
        "figures": result.metrics,
        "traffic": {
            kind: {"rpcs_a_node_second": rpcs, "bytes_a_node_second": size}
            for kind, (rpcs, size) in result.rpc_rates().items()
        },
        "causes": result.purpose_rates(),
        "packets": result.packets,
        "abandoned": result.abandoned,
        "unfinished": result.unfinished,
        "failures": dict(sorted(failures.items())),
        "samples": [dataclasses.asdict(sample) for sample in result.samples],
        "demands": [
            {
                "demand": each.requirement.text,
                "figure": each.requirement.metric,
                "value": each.value,
                "met": each.is_met,
            }
            for each in evaluate(result)
        ],
        "machine": dataclasses.asdict(result.machine),
    }


def failed(result: RunResult) -> list[RequirementResult]:
    """Return the requirements that were not met."""
    return [outcome for outcome in evaluate(result) if not outcome.is_met]


def replay_command(name: str, seed: int, nodes: int | None, seconds: float | None) -> str:
    """Return the command line that repeats a run."""
    words = ["kademlua", "simulate", name, "--seed", str(seed)]
    if nodes is not None:
        words += ["--nodes", str(nodes)]
    if seconds is not None:
        words += ["--for", format_duration(seconds)]
    return shlex.join(words)


def format_metric(metric: str, value: float | None) -> str:
    """Return a metric with its unit; an empty string without a value."""
    if value is None:
        return ""
    if metric == "paths_latency" or metric in BULK_RATIOS:
        return f"{value:.2f}"
    kind = METRICS.get(metric)
    if kind == SECONDS:
        return f"{value:,.1f} s" if metric in MACHINE_METRICS else f"{1000 * value:,.0f} ms"
    if kind == SHARE:
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:,.1f}"
