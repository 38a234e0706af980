"""The result of a run as text and as JSON."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import kademlua
from kademlua.core.durations import format_duration
from kademlua.simulation.report.metrics import RequirementResult, RunResult, evaluate
from kademlua.simulation.scenario.scenario import MACHINE_METRICS, METRICS, SECONDS, SHARE


def format_text(result: RunResult) -> str:
    """Return the report as text."""
    scenario, machine = result.scenario, result.machine
    first, last = result.samples[0], result.samples[-1]
    lines = [
        f"{scenario.title}: {scenario.description}",
        f"{scenario.nodes:,} nodes, {format_duration(scenario.duration)} measured, "
        f"seed {result.seed}",
        "",
        f"{'':22}{'ok':>16}{'p50':>10}{'p90':>10}{'p99':>10}",
    ]
    for name, kind in (("lookups", "lookup"), ("finds", "find")):
        finished = [
            each for each in result.operations if each.kind == kind and each.started_at >= 0
        ]
        if finished:
            ok = f"{sum(each.ok for each in finished)}/{len(finished)}"
            cells = [
                format_metric(f"{kind}_p{p}", result.metric(f"{kind}_p{p}")) for p in (50, 90, 99)
            ]
            lines.append(f"{name:22}{ok:>16}" + "".join(f"{cell:>10}" for cell in cells))
    cells = [format_metric(f"hops_p{p}", result.metrics[f"hops_p{p}"]) for p in (50, 90, 99)]
    lines.append(f"{'hops of lookups':38}" + "".join(f"{cell:>10}" for cell in cells))
    lines += [
        "",
        *_rows(
            ("queries per lookup", _metric_text(result, "rpcs_a_lookup")),
            ("recall of the k closest", _metric_text(result, "recall")),
            ("successful finds", _metric_text(result, "finds")),
            ("finds across partition", _metric_text(result, "crossing_finds")),
            *_path_rows(result),
            ("successful adds", _metric_text(result, "adds")),
            ("abandoned operations", f"{result.abandoned:,}" if result.abandoned else None),
            ("unfinished operations", f"{result.unfinished:,}" if result.unfinished else None),
        ),
        "",
        *_rows(
            ("nodes", f"{first.nodes:,} at the start, {last.nodes:,} at the end"),
            (
                "joined, left",
                f"{last.arrivals:,}, {last.departures:,}"
                if last.arrivals or last.departures
                else None,
            ),
            ("contacts per table", f"{last.contacts:.0f}"),
            ("dead contacts", _metric_text(result, "dead_contacts")),
            ("true neighbours known", _metric_text(result, "neighbours")),
            *_hostile_rows(result),
        ),
        *_value_rows(result),
        "",
        f"{'per node and second':26}{'RPCs':>12}{'bytes':>12}",
    ]
    traffic = result.rpc_rates()
    lines += [f"  {kind:24}{rpcs:12.4f}{size:12.1f}" for kind, (rpcs, size) in traffic.items()]
    rpcs, size = (sum(each[n] for each in traffic.values()) for n in (0, 1))
    lines += [
        f"  {'total':24}{rpcs:12.4f}{size:12.1f}",
        "",
        f"{'the same bytes by purpose':38}",
        *(f"  {cause:36}{size:12.1f}" for cause, size in result.purpose_rates().items()),
        "",
        "packets: "
        + ", ".join(f"{count:,} {name}" for name, count in result.packets.items() if count),
        f"this machine: {machine.wall_seconds:.1f} s, {machine.cpu_seconds:.1f} s of CPU "
        f"({machine.joining_wall_seconds:.1f} s for joining), "
        f"{machine.packets_a_wall_second:,.0f} packets/s, {machine.memory_mb:,.0f} MB",
        f"fingerprint {result.fingerprint}",
    ]
    outcomes = evaluate(result)
    if outcomes:
        lines += ["", "requirements:", *(f"  {requirement_text(each)}" for each in outcomes)]
    return "\n".join(lines)


def _path_rows(result: RunResult) -> list[tuple[str, str | None]]:
    """Return the rows about finds on disjoint paths, if the scenario has any."""
    if result.scenario.workload.paths == 1:
        return []
    return [
        ("finds on one path", _metric_text(result, "finds_one_path")),
        (
            f"finds on {result.scenario.workload.paths} paths",
            _metric_text(result, "finds_many_paths"),
        ),
        ("latency ratio of paths", _format_ratio(result.metrics["paths_latency"])),
    ]


def _hostile_rows(result: RunResult) -> list[tuple[str, str | None]]:
    """Return the rows about hostile nodes, if the scenario has any."""
    if not result.scenario.has_adversaries:
        return []
    return [
        ("hostile contacts", _metric_text(result, "hostile_contacts")),
        ("hostile near the key", _metric_text(result, "hostile_near_key")),
    ]


def _format_ratio(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _value_rows(result: RunResult) -> list[str]:
    """Return the rows about stored values, if the scenario has any."""
    if not result.scenario.has_values:
        return []
    return [
        "",
        *_rows(
            ("values kept", _metric_text(result, "kept")),
            ("held by closest nodes", _metric_text(result, "placed")),
            ("replicas per value", _metric_text(result, "holders")),
            ("values per node", _metric_text(result, "values_a_node")),
            ("max. early expiry", _metric_text(result, "early_end")),
            ("max. late expiry", _metric_text(result, "late_end")),
        ),
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
        "failures": _failures(result),
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
    kind = METRICS.get(metric)
    if kind == SECONDS:
        return f"{value:,.1f} s" if metric in MACHINE_METRICS else f"{1000 * value:,.0f} ms"
    if kind == SHARE:
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:,.1f}"


def _metric_text(result: RunResult, metric: str) -> str | None:
    return format_metric(metric, result.metrics[metric]) or None


def _rows(*rows: tuple[str, str | None]) -> list[str]:
    return [f"{name:28}{value:>10}" for name, value in rows if value is not None]


def _failures(result: RunResult) -> dict[str, int]:
    """Return the number of failed operations by reason."""
    found: dict[str, int] = {}
    for operation in result.operations:
        if not operation.ok:
            reason = f"{operation.kind}: {operation.failure_reason}"
            found[reason] = found.get(reason, 0) + 1
    return dict(sorted(found.items()))
