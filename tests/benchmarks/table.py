"""Results as a Markdown table, with notes and targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.benchmarks.figures import FIGURES, TARGETS, Figure, Results, ratio

_RATIOS = ("kademlua-8", "kademlua-20")
_TO = "libtorrent"


def network_text(results: Results, nodes: int, operations: int) -> str:
    """The table of the workload, what to know of it, and how the targets fare."""
    measured = {name: each for name, each in results.items() if each}
    lines = [*_table(measured), "", *_notes(measured, operations), ""]
    rows = [
        target.row(measured)
        for target in TARGETS
        if nodes in target.nodes and target.contender in measured
    ]
    if rows:
        lines += markdown(["targets", "figure", "reached", "wanted", ""], rows)
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table, its columns aligned for a terminal too."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for cells in (header, rule, *rows):
        first = cells[0].ljust(widths[0])
        others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        lines.append("| " + " | ".join([first, *others]) + " |")
    return lines


def _table(results: Results) -> list[str]:
    compared = [name for name in _RATIOS if name in results and _TO in results]
    header = ["medians", *results, *(f"{name} : {_TO}" for name in compared)]
    return markdown(header, [_row(figure, results, compared) for figure in FIGURES])


def _row(figure: Figure, results: Results, compared: Sequence[str]) -> list[str]:
    cells = [figure.label]
    cells += [_number(figure.median(each), figure.decimals) for each in results.values()]
    return cells + [_number(ratio(figure, results[name], results[_TO]), 2) for name in compared]


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:,.{decimals}f}"


def _notes(results: Results, operations: int) -> Iterator[str]:
    """Of figures that are not quite what they seem."""
    for name, each in results.items():
        for phase in each[0].phases:
            counts = [result.phases[phase].operations for result in each]
            if min(counts) < operations:
                yield f"- {name}: {phase}: only {min(counts)} operations in the time there was"
            lost = sum(result.lost.get(phase) or 0 for result in each)
            if lost:
                yield f"- {name}: {phase}: {lost} of {sum(counts)} values had no holder left"
