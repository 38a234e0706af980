"""Figures of the workload, their medians and their targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.verdict import verdict
from tests.benchmarks.workload import AT_ONCE, Result

Results = Mapping[str, Sequence[Result]]
"""By contender, one of each round."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a result holds, and its place in the table."""

    label: str
    of: Callable[[Result], float | None]
    """None where the implementation does not tell."""
    decimals: int = 2

    def median(self, results: Sequence[Result]) -> float | None:
        """The median over the rounds."""
        values = [value for result in results if (value := self.of(result)) is not None]
        return median(values) if values else None


def _of_phase(label: str, phase: str, field: str, decimals: int = 2) -> Figure:
    def of(result: Result) -> float | None:
        value: float | None = getattr(result.phases[phase], field)
        return value

    return Figure(label, of, decimals)


def _of_success(label: str, kind: str, after: str = "") -> Figure:
    """Of both phases of a kind, in percent."""

    def percent(result: Result) -> float:
        phases = [result.phases[f"{kind} {count}{after}"] for count in (1, AT_ONCE)]
        return 100 * sum(p.succeeded for p in phases) / sum(p.operations for p in phases)

    return Figure(label, percent, 1)


def _of_findable(share: int) -> Figure:
    """Of the finds of values that a survivor holds, in percent."""
    names = [f"get {count} after {share}" for count in (1, AT_ONCE)]

    def percent(result: Result) -> float:
        findable = sum(result.phases[name].operations - (result.lost[name] or 0) for name in names)
        return 100 * sum(result.phases[name].succeeded for name in names) / max(findable, 1)

    return Figure(f"{share} % stopped: found of what survivors hold, %", percent, 1)


def _after(share: int) -> list[Figure]:
    """Figures of the finds by who is left after that share of the nodes stopped."""
    one, many = f"get 1 after {share}", f"get {AT_ONCE} after {share}"
    return [
        _of_success(f"{share} % stopped: found, %", "get", f" after {share}"),
        _of_phase(f"{share} % stopped: get p50, ms", one, "p50_ms"),
        _of_phase(f"{share} % stopped: get p99, ms", one, "p99_ms"),
        _of_phase(f"{share} % stopped: gets/s at {AT_ONCE}", many, "per_second", 0),
    ]


PUT_CPU = _of_phase("put CPU, ms", "put 1", "cpu_ms")
GET_CPU = _of_phase("get CPU, ms", "get 1", "cpu_ms")
PUT_CPU_TOGETHER = _of_phase(f"put CPU, {AT_ONCE} at once, ms", f"put {AT_ONCE}", "cpu_ms")
GET_CPU_TOGETHER = _of_phase(f"get CPU, {AT_ONCE} at once, ms", f"get {AT_ONCE}", "cpu_ms")
GET_P50 = _of_phase("get p50, ms", "get 1", "p50_ms")
GET_P99 = _of_phase("get p99, ms", "get 1", "p99_ms")
PUTS = _of_phase(f"puts/s at {AT_ONCE}", f"put {AT_ONCE}", "per_second", 0)
GETS = _of_phase(f"gets/s at {AT_ONCE}", f"get {AT_ONCE}", "per_second", 0)
PUT_RPCS = _of_phase("RPCs per put", "put 1", "rpcs", 1)
GET_RPCS = _of_phase("RPCs per get", "get 1", "rpcs", 1)
PUT_OK = _of_success("puts that succeed, %", "put")
GET_OK = _of_success("gets that succeed, %", "get")
AFTER = {share: _after(share) for share in (30, 50)}
MEMORY = Figure("memory of a node at rest, kB", lambda result: result.kb_per_node, 0)
JOINED = Figure("all joined, s", lambda result: result.joined_s)

FIGURES = (
    PUT_CPU,
    GET_CPU,
    PUT_CPU_TOGETHER,
    GET_CPU_TOGETHER,
    GET_P50,
    GET_P99,
    PUTS,
    GETS,
    PUT_RPCS,
    GET_RPCS,
    PUT_OK,
    GET_OK,
    *AFTER[30],
    *AFTER[50],
    MEMORY,
    JOINED,
)


def ratio(figure: Figure, of: Sequence[Result], to: Sequence[Result]) -> float | None:
    """The median of the rounds' ratios: who ran one after the other is compared. None where
    one of both does not tell."""
    ratios = []
    for one, other in zip(of, to, strict=True):
        own, others = figure.of(one), figure.of(other)
        if own is None or others is None:
            return None
        ratios.append(own / others if others else float("inf"))
    return median(ratios)


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted of a contender's figure."""

    contender: str
    figure: Figure
    bound: float
    versus: str | None = None
    """Whose figure it is a multiple of."""
    at_least: bool = False
    nodes: range = range(1_000_000)
    """The sizes of network that it is meant for."""

    def row(self, results: Results) -> list[str]:
        """The cells of a table: contender, figure, what was reached and wanted, the verdict."""
        unit = f" × {self.versus}" if self.versus else ""
        wanted = f"{'≥' if self.at_least else '≤'} {self.bound:,g}{unit}"
        reached = self._reached(results)
        if reached is None:
            return [self.contender, self.figure.label, "", wanted, "not measured"]
        is_met = reached >= self.bound if self.at_least else reached <= self.bound
        decimals = 2 if self.versus else self.figure.decimals
        cell = f"{reached:,.{decimals}f}{unit}"
        return [self.contender, self.figure.label, cell, wanted, verdict(is_met=is_met)]

    def _reached(self, results: Results) -> float | None:
        own = results.get(self.contender)
        if not own:
            return None
        if self.versus is None:
            return self.figure.median(own)
        others = results.get(self.versus)
        return ratio(self.figure, own, others) if others else None


_LARGE = range(1_000, 1_000_000)
_SMALL = range(1_000)


def _targets() -> list[Target]:
    targets = [
        Target("kademlua-8", PUT_CPU, 0.5, "libtorrent", nodes=_SMALL),
        Target("kademlua-20", PUT_CPU, 0.9, "libtorrent", nodes=_SMALL),
        Target("kademlua-8", GET_CPU, 0.25, "libtorrent", nodes=_SMALL),
        Target("kademlua-8", GET_P50, 0.1, nodes=_SMALL),
        Target("kademlua-8", PUTS, 2_500, at_least=True, nodes=_SMALL),
        Target("kademlua-8", GETS, 9_000, at_least=True, nodes=_SMALL),
        Target("kademlua-8", PUT_RPCS, 11, nodes=_SMALL),
        Target("kademlua-20", PUT_RPCS, 26, nodes=_SMALL),
    ]
    for name in ("kademlua-8", "kademlua-20"):
        targets.append(Target(name, GET_OK, 100, at_least=True))
        for share, (_, _, p99, gets) in AFTER.items():
            targets += [
                Target(name, _of_findable(share), 100, at_least=True),
                Target(name, p99, 8),
                Target(name, gets, 5_000, at_least=True),
            ]
        targets += [
            Target(name, JOINED, 2, nodes=_LARGE),
            Target(name, MEMORY, 40),
        ]
    return targets


TARGETS = tuple(_targets())
