"""The view that ``kademlua top`` shows, from a node's figures to lines of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import click

from kademlua.cli.top.model import Figures
from kademlua.core.contact import format_endpoint
from kademlua.terminal.text import printable

_WIDE = 76
"""Columns from which on the table stands beside the rest."""
_LEFT = 38
_BAR = 10

Row = list[str]
"""What stands beside each other in a line; a ``Heading`` stands out."""


class Heading(str):
    """Text that is shown bold."""

    __slots__ = ()


def painted(rows: Sequence[Row], width: int, height: int, *, bold: bool = True) -> list[str]:
    """Rows as lines of at most ``width`` characters, and of them at most ``height``; the last one
    says how many more there are."""
    if len(rows) > height > 1:
        cut = len(rows) - height + 1
        rows = [*rows[: height - 1], [f"… {cut} more line{'s' * (cut != 1)}"]]
    return [_painted(row, width, bold=bold) for row in rows[: max(height, 0)]]


def _painted(row: Row, width: int, *, bold: bool) -> str:
    parts = []
    for place, cell in enumerate(row):
        text = printable(cell)[:width]
        width -= len(text)
        if place == len(row) - 1:
            text = text.rstrip()
        parts.append(click.style(text, bold=True) if bold and isinstance(cell, Heading) else text)
    return "".join(parts)


def view(figures: Figures, width: int) -> list[Row]:
    """The whole view, for a terminal of so many columns."""
    left = [*_caused(figures), [""], *_counted("dropped", figures)]
    for name in ("throttled", "held", "refused"):
        if figures[name]:
            left += [[""], *_counted(name, figures)]
    table = _table(figures)
    below = _beside(left, table) if width >= _WIDE else [*left, [""], *table]
    return [*_head(figures), *_rpcs(figures), *_lookups(figures), [""], *below]


def _beside(left: list[Row], right: list[Row]) -> list[Row]:
    rows = []
    for one, other in zip_longest(left, right):
        padding = [] if other is None else [" " * (_LEFT + 2 - sum(map(len, one or [])))]
        rows.append([*(one or []), *padding, *(other or [])])
    return rows


def _head(figures: Figures) -> list[Row]:
    node = figures["node"]
    state = "joined" if node["joined"] else "not joined"
    address = format_endpoint((node["address"], node["port"]))
    since = f"last {figures['over']:.1f} s" if figures["window"] else "since it began"
    handed_on, let_go = _number(figures["handed_on_rate"]), _number(figures["let_go_rate"])
    return [
        [Heading(f"{address}  {state}, up {_clock_text(figures['seconds'])}"), f"  {node['id']}"],
        [
            f"about {_counted_text(figures['network_size'], 'node')},"
            f" {_counted_text(figures['contacts'], 'contact')},"
            f" {_counted_text(figures['calls_in_flight'], 'call')} in flight"
        ],
        [
            f"{_counted_text(figures['values'], 'value')},"
            f" {handed_on} values/s handed on, {let_go} values/s let go"
        ],
        [f"in {_traffic(figures, 'in')}   out {_traffic(figures, 'out')}   {since}"],
    ]


def _traffic(figures: Figures, way: str) -> str:
    return f"{_number(figures['packets'][way])} packets/s, {figures['bytes'][way] / 1000:,.1f} kB/s"


def _rpcs(figures: Figures) -> list[Row]:
    titles = "".join(f"{title:>10}" for title in ("served/s", "errors/s", "called/s", "timeout/s"))
    rows: list[Row] = [[Heading(f"{'RPC':12}{titles}{'failed/s':>10}{'p50':>9}{'p99':>9}")]]
    columns = ("served_rate", "errors_rate", "called_rate", "timeout_rate", "failed_rate")
    for name, rpc in figures["rpcs"].items():
        rates = "".join(f"{_number(rpc[column]):>10}" for column in columns)
        rows.append([f"{name:11.11} {rates}{_latencies(rpc)}"])
    return rows


def _lookups(figures: Figures) -> list[Row]:
    if not figures["lookups"]:
        return []
    count = f"in {figures['window']:.0f} s"
    rows: list[Row] = [[Heading(f"{'lookups by':12}{count:>10}{'queries':>10}")]]
    for name, lookup in figures["lookups"].items():
        queries = "-" if lookup["queries"] is None else f"{lookup['queries']:.1f}"
        row = f"{name:11.11} {_number(lookup['count']):>10}{queries:>10}"
        rows.append([f"{row:62}{_latencies(lookup)}"])
    return rows


def _latencies(of: dict[str, Any]) -> str:
    return f"{_time(of['p50']):>9}{_time(of['p99']):>9}"


_CAUSES = (
    ("find_node", "find_value", "store", "remove", "call"),
    ("publish", "replicate", "mend", "leave"),
    ("join", "settle", "refresh", "probe", "reach"),
)
"""What the program asks for, what keeps values, what keeps the routing table."""


def _caused(figures: Figures) -> list[Row]:
    caused = figures["caused"]
    known = [name for group in _CAUSES for name in group]
    names = [
        *(each for each in known if each in caused),
        *(each for each in caused if each not in known),
    ]
    return [_titles("calls for"), *(_row(name, caused[name]) for name in names)]


def _counted(name: str, figures: Figures) -> list[Row]:
    found = figures[name]
    rows = [_row(reason, found[reason]) for reason in found]
    return [_titles(name), *(rows or [["nothing"]])]


def _titles(name: str) -> Row:
    return [Heading(f"{name:20}{'/s':>8}{'total':>10}")]


def _row(name: str, counted: dict[str, float]) -> Row:
    return [f"{name:19.19} {_number(counted['rate']):>8}{_number(counted['total']):>10}"]


def _table(figures: Figures) -> list[Row]:
    buckets = figures["buckets"]
    most = max((each["contacts"] for each in buckets), default=1)
    rows: list[Row] = [[Heading(f"{'bucket':>6}  {'contacts':14}{'heard':>8}{'trip':>9}")]]
    for each in buckets:
        bar = "█" * max(round(_BAR * each["contacts"] / most), 1)
        heard = "-" if each["heard_ago"] is None else f"{each['heard_ago']:.0f} s"
        trip = _time(each["round_trip"])
        rows.append([f"{each['bucket']:>6}  {each['contacts']:<3} {bar:10}{heard:>8}{trip:>9}"])
    return rows if buckets else [*rows, ["  nobody"]]


def _number(value: float) -> str:
    """As short as it can be: 0, 0.04, 3.2, 1,234, 56 M."""
    if value >= 10_000_000:
        return f"{value / 1_000_000:,.0f} M"
    if value == 0 or value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _counted_text(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
