"""Plot: a run as a picture: latency, success with the churn beneath it, traffic."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from typing import Any

from kademlua.core.errors import KademluaError
from kademlua.simulation.report.metrics import Result, percentile

_PARTS = 60
SUFFIXES = (".svg", ".png")


class PlotError(KademluaError):
    """A picture can't be made."""


def check(path: Path) -> None:
    """Raise PlotError unless a picture can be written there: better before a run than after."""
    if path.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path}: a plot's name ends in {' or '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise PlotError(f"{path.parent}: no such directory")
    _matplotlib()


def draw(result: Result, path: Path) -> None:
    """Write the picture, SVG or PNG as the name says. PlotError where that can't be."""
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


def _draw_latency(axes: Any, result: Result) -> None:
    width = result.scenario.duration / _PARTS
    parts: list[list[float]] = [[] for _ in range(_PARTS)]
    for each in result.operations:
        if each.kind == "lookup" and each.ok and each.begun >= 0:
            parts[min(_PARTS - 1, int(each.begun / width))].append(each.seconds)
    middles = [(number + 0.5) * width / 60 for number, part in enumerate(parts) if part]
    for percent in (50, 90, 99):
        values = [percentile(part, percent) for part in parts if part]
        axes.plot(middles, values, label=f"P{percent}")
    axes.set_ylabel("lookups, virtual s")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")


def _draw_success(axes: Any, result: Result) -> None:
    minutes = [sample.at / 60 for sample in result.samples]
    beneath = axes.twinx()
    beneath.fill_between(
        minutes, [sample.nodes for sample in result.samples], color="tab:grey", alpha=0.25
    )
    gone = [b.left - a.left for a, b in pairwise(result.samples)]
    beneath.bar(minutes[1:], gone, width=0.8 * minutes[-1] / _PARTS, color="tab:red", alpha=0.4)
    beneath.set_ylabel("nodes, and departures (red)")
    beneath.set_ylim(bottom=0)
    axes.set_zorder(beneath.get_zorder() + 1)
    axes.patch.set_visible(False)
    width = result.scenario.duration / _PARTS
    for kind, label in (("find", "finds that found"), ("lookup", "recall of lookups")):
        parts: list[list[float]] = [[] for _ in range(_PARTS)]
        for each in result.operations:
            if each.kind == kind and each.begun >= 0 and (each.ok or kind == "find"):
                value = float(each.ok) if kind == "find" else each.recall
                parts[min(_PARTS - 1, int(each.begun / width))].append(value)
        points = [
            ((number + 0.5) * width / 60, sum(part) / len(part))
            for number, part in enumerate(parts)
            if part
        ]
        axes.plot([x for x, _ in points], [y for _, y in points], label=label)
    axes.plot(minutes, [sample.dead_contacts for sample in result.samples], label="dead contacts")
    axes.set_ylabel("share")
    axes.set_ylim(-0.02, 1.02)
    axes.legend(loc="center right")


def _draw_traffic(axes: Any, result: Result) -> None:
    minutes = [sample.at / 60 for sample in result.samples]
    kinds = sorted({kind for sample in result.samples for kind in sample.bytes})
    rates = [
        [
            (b.bytes.get(kind, 0) - a.bytes.get(kind, 0)) / (b.at - a.at) / max(b.nodes, 1)
            for a, b in pairwise(result.samples)
        ]
        for kind in kinds
    ]
    if kinds:
        axes.stackplot(minutes[1:], rates, labels=kinds)
        axes.legend(loc="upper right")
    axes.set_ylabel("bytes a node and second")


def _matplotlib() -> Any:
    try:
        return importlib.import_module("matplotlib.figure").Figure
    except ImportError:
        raise PlotError(
            "plots need matplotlib, which is not here: pip install 'kademlua[plot]'"
        ) from None
