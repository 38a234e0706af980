"""Report: a run's result for people, and as JSON for scripts."""

from __future__ import annotations

import dataclasses
import shlex
from typing import Any

import kademlua
from kademlua.core.durations import duration_text
from kademlua.simulation.report.metrics import Result, Verdict, judge
from kademlua.simulation.scenario.scenario import FIGURES, OF_THE_RUN, SECONDS, SHARE


def as_text(result: Result) -> str:
    """The report for people."""
    scenario, machine = result.scenario, result.machine
    first, last = result.samples[0], result.samples[-1]
    lines = [
        f"{scenario.title}: {scenario.shows}",
        f"{scenario.nodes:,} nodes, {duration_text(scenario.duration)} measured, "
        f"seed {result.seed}",
        "",
        f"{'':22}{'ok':>16}{'p50':>10}{'p90':>10}{'p99':>10}",
    ]
    for name, kind in (("lookups", "lookup"), ("finds", "find")):
        done = [each for each in result.operations if each.kind == kind and each.begun >= 0]
        if done:
            ok = f"{sum(each.ok for each in done)}/{len(done)}"
            cells = [shown(f"{kind}_p{p}", result.figure(f"{kind}_p{p}")) for p in (50, 90, 99)]
            lines.append(f"{name:22}{ok:>16}" + "".join(f"{cell:>10}" for cell in cells))
    cells = [shown(f"hops_p{p}", result.figures[f"hops_p{p}"]) for p in (50, 90, 99)]
    lines.append(f"{'hops of lookups':38}" + "".join(f"{cell:>10}" for cell in cells))
    lines += [
        "",
        *_rows(
            ("queries a lookup", _one(result, "rpcs_a_lookup")),
            ("recall of the k closest", _one(result, "recall")),
            ("finds that found", _one(result, "finds")),
            ("finds over the old border", _one(result, "crossing_finds")),
            *_paths(result),
            ("adds taken", _one(result, "adds")),
            ("given up with their node", f"{result.abandoned:,}" if result.abandoned else None),
            ("not ended", f"{result.unfinished:,}" if result.unfinished else None),
        ),
        "",
        *_rows(
            ("nodes", f"{first.nodes:,} at first, {last.nodes:,} at last"),
            (
                "came and went",
                f"{last.came:,} and {last.left:,}" if last.came or last.left else None,
            ),
            ("contacts in a table", f"{last.contacts:.0f}"),
            ("dead among them", _one(result, "dead_contacts")),
            ("true neighbours known", _one(result, "neighbours")),
            *_hostile(result),
        ),
        *_values(result),
        "",
        f"{'a node and second':26}{'RPCs':>12}{'bytes':>12}",
    ]
    traffic = result.traffic()
    lines += [f"  {kind:24}{rpcs:12.4f}{size:12.1f}" for kind, (rpcs, size) in traffic.items()]
    rpcs, size = (sum(each[n] for each in traffic.values()) for n in (0, 1))
    lines += [
        f"  {'in all':24}{rpcs:12.4f}{size:12.1f}",
        "",
        f"{'the same bytes by cause':38}",
        *(f"  {cause:36}{size:12.1f}" for cause, size in result.causes().items()),
        "",
        "packets: "
        + ", ".join(f"{count:,} {name}" for name, count in result.packets.items() if count),
        f"this machine: {machine.wall_seconds:.1f} s, {machine.cpu_seconds:.1f} s of CPU "
        f"({machine.joining_wall_seconds:.1f} s until all had joined), "
        f"{machine.packets_a_wall_second:,.0f} packets a second, {machine.memory_mb:,.0f} MB",
        f"fingerprint {result.fingerprint}",
    ]
    verdicts = judge(result)
    if verdicts:
        lines += ["", "demanded:", *(f"  {verdict_text(verdict)}" for verdict in verdicts)]
    return "\n".join(lines)


def _paths(result: Result) -> list[tuple[str, str | None]]:
    """What finds on several paths came to, where there were any."""
    if result.scenario.workload.paths == 1:
        return []
    return [
        ("on one path", _one(result, "finds_one_path")),
        (f"on {result.scenario.workload.paths} paths", _one(result, "finds_many_paths")),
        ("their latency, times", _ratio(result.figures["paths_latency"])),
    ]


def _hostile(result: Result) -> list[tuple[str, str | None]]:
    """Who is in the tables, where there are hostile nodes."""
    if not result.scenario.has_enemies:
        return []
    return [
        ("hostile among them", _one(result, "hostile_contacts")),
        ("hostile, told of at the key", _one(result, "hostile_near_key")),
    ]


def _ratio(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _values(result: Result) -> list[str]:
    """What became of the values, where there were any."""
    if not result.scenario.has_values:
        return []
    return [
        "",
        *_rows(
            ("values kept", _one(result, "kept")),
            ("held by those who should", _one(result, "placed")),
            ("holders of a value", _one(result, "holders")),
            ("values a node", _one(result, "values_a_node")),
            ("ended too early, at most", _one(result, "early_end")),
            ("ended too late, at most", _one(result, "late_end")),
        ),
    ]


def verdict_text(verdict: Verdict) -> str:
    """A demand and what became of it, in a line."""
    figure = verdict.demand.figure
    word = "met   " if verdict.is_met else "MISSED"
    return f"{word} {verdict.demand.text}: {shown(figure, verdict.value) or 'nothing to measure'}"


def as_json(result: Result) -> dict[str, Any]:
    """All figures; everything but ``machine`` and what is demanded of it is the same for the
    same seed."""
    scenario = result.scenario
    return {
        "kademlua": kademlua.__version__,
        "scenario": scenario.name,
        "seed": result.seed,
        "nodes": scenario.nodes,
        "seconds": scenario.duration,
        "fingerprint": result.fingerprint,
        "figures": result.figures,
        "traffic": {
            kind: {"rpcs_a_node_second": rpcs, "bytes_a_node_second": size}
            for kind, (rpcs, size) in result.traffic().items()
        },
        "causes": result.causes(),
        "packets": result.packets,
        "abandoned": result.abandoned,
        "unfinished": result.unfinished,
        "failures": _failures(result),
        "samples": [dataclasses.asdict(sample) for sample in result.samples],
        "demands": [
            {
                "demand": each.demand.text,
                "figure": each.demand.figure,
                "value": each.value,
                "met": each.is_met,
            }
            for each in judge(result)
        ],
        "machine": dataclasses.asdict(result.machine),
    }


def missed(result: Result) -> list[Verdict]:
    """The demands that were not met."""
    return [verdict for verdict in judge(result) if not verdict.is_met]


def replay_command(name: str, seed: int, nodes: int | None, seconds: float | None) -> str:
    """The command line that does a run again."""
    words = ["kademlua", "simulate", name, "--seed", str(seed)]
    if nodes is not None:
        words += ["--nodes", str(nodes)]
    if seconds is not None:
        words += ["--for", duration_text(seconds)]
    return shlex.join(words)


def shown(figure: str, value: float | None) -> str:
    """A figure as people read it; nothing where there is none."""
    if value is None:
        return ""
    kind = FIGURES.get(figure)
    if kind == SECONDS:
        return f"{value:,.1f} s" if figure in OF_THE_RUN else f"{1000 * value:,.0f} ms"
    if kind == SHARE:
        return f"{100 * value:.2f} %"
    return f"{value:,.0f}" if value == round(value) or value >= 1000 else f"{value:,.1f}"


def _one(result: Result, figure: str) -> str | None:
    return shown(figure, result.figures[figure]) or None


def _rows(*rows: tuple[str, str | None]) -> list[str]:
    return [f"{name:28}{value:>10}" for name, value in rows if value is not None]


def _failures(result: Result) -> dict[str, int]:
    """Why operations failed, and how often."""
    found: dict[str, int] = {}
    for operation in result.operations:
        if not operation.ok:
            reason = f"{operation.kind}: {operation.why}"
            found[reason] = found.get(reason, 0) + 1
    return dict(sorted(found.items()))
