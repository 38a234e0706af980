"""A plot of a run: latency, success together with churn, and traffic."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

from kademlua.build import install_command
from kademlua.core.errors import KademluaError
from kademlua.simulation.nodes.operation import WorkloadOperation
from kademlua.simulation.report.metrics import RunResult, percentile

_BIN_COUNT = 60
SUFFIXES = (".svg", ".png")


class PlotError(KademluaError):
    """A plot cannot be written."""


def check_path(path: Path) -> None:
    """Check before a run that a plot can be written.

    Raises:
        PlotError: the suffix, the directory or matplotlib is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path}: the name of a plot must end in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise PlotError(f"{path.parent}: no such directory")
    _matplotlib()


def draw(result: RunResult, path: Path) -> None:
    """Write the plot as SVG or PNG, by the suffix of ``path``.

    Raises:
        PlotError: the file cannot be written, or matplotlib is not installed.
    """
    figure = _matplotlib()(figsize=(9, 10), layout="constrained")
    latency, success, traffic = figure.subplots(3, 1, sharex=True)
    figure.suptitle(f"{result.scenario.title} (seed {result.seed})")
    _draw_latency(latency, result)
    _draw_success(success, result)
    _draw_traffic(traffic, result)
    for axes in (latency, success, traffic):
        for event in result.scenario.events:
            axes.axvline(event.at / 60, color="grey", linestyle=":", linewidth=1)
    traffic.set_xlabel("minutes since measuring began (dotted: events)")
    try:
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    except OSError as error:
        raise PlotError(f"{path}: {error.strerror}") from None


def _bins(
    result: RunResult, kind: str, value: Callable[[WorkloadOperation], float | None]
) -> dict[float, list[float]]:
    """Return the values that are not None, by the middle of their bin in minutes."""
    bin_seconds = result.scenario.duration / _BIN_COUNT
    bins: dict[float, list[float]] = {}
    for each in sorted(result.operations, key=lambda each: each.started_at):
        if each.kind == kind and each.started_at >= 0 and (found := value(each)) is not None:
            number = min(_BIN_COUNT - 1, int(each.started_at / bin_seconds))
            bins.setdefault((number + 0.5) * bin_seconds / 60, []).append(found)
    return bins


def _draw_latency(axes: Any, result: RunResult) -> None:
    bins = _bins(result, "lookup", lambda each: each.seconds if each.ok else None)
    for percent in (50, 90, 99):
        values = [percentile(part, percent) for part in bins.values()]
        axes.plot(list(bins), values, label=f"P{percent}")
    axes.set_ylabel("lookups, virtual s")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")


def _draw_success(axes: Any, result: RunResult) -> None:
    minutes = [sample.at / 60 for sample in result.samples]
    node_axes = axes.twinx()
    nodes = [sample.nodes for sample in result.samples]
    node_axes.fill_between(minutes, nodes, color="tab:grey", alpha=0.25)
    departures = [b.departures - a.departures for a, b in pairwise(result.samples)]
    width = 0.8 * minutes[-1] / _BIN_COUNT
    node_axes.bar(minutes[1:], departures, width=width, color="tab:red", alpha=0.4)
    node_axes.set_ylabel("nodes, and departures (red)")
    node_axes.set_ylim(bottom=0)
    axes.set_zorder(node_axes.get_zorder() + 1)
    axes.patch.set_visible(False)
    shares = {
        "successful finds": _bins(result, "find", lambda each: float(each.ok)),
        "recall of lookups": _bins(result, "lookup", lambda each: each.recall if each.ok else None),
    }
    for label, bins in shares.items():
        axes.plot(list(bins), [fmean(part) for part in bins.values()], label=label)
    axes.plot(minutes, [sample.dead_contacts for sample in result.samples], label="dead contacts")
    axes.set_ylabel("share")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="center right")


def _draw_traffic(axes: Any, result: RunResult) -> None:
    minutes = [sample.at / 60 for sample in result.samples]
    kinds = sorted({kind for sample in result.samples for kind in sample.bytes_by_rpc})
    rates = [
        [
            (b.bytes_by_rpc.get(kind, 0) - a.bytes_by_rpc.get(kind, 0))
            / (b.at - a.at)
            / max(b.nodes, 1)
            for a, b in pairwise(result.samples)
        ]
        for kind in kinds
    ]
    if kinds:
        axes.stackplot(minutes[1:], rates, labels=kinds)
        axes.legend(loc="upper right")
    axes.set_ylabel("bytes per node and second")


def _matplotlib() -> Any:
    try:
        return importlib.import_module("matplotlib.figure").Figure
    except ImportError:
        command = install_command("plot")
        raise PlotError(f"matplotlib is not installed; run: {command}") from None
