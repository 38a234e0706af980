"""The view of ``kademlua top``: the model as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import click

from kademlua.cli.top.model import TopModel
from kademlua.core.contact import format_endpoint
from kademlua.terminal.text import escape_unprintable

_TWO_COLUMN_WIDTH = 76
"""Minimum columns for two columns of tables."""
_LEFT_WIDTH = 38
_BAR_WIDTH = 10

Row = list[str]
"""The cells of a line; a ``Heading`` is bold."""


class Heading(str):
    """Bold text."""

    __slots__ = ()


def render(rows: Sequence[Row], width: int, height: int, *, bold: bool = True) -> list[str]:
    """Return at most ``height`` lines of at most ``width`` characters; if rows are cut off, the
    last line counts them."""
    if len(rows) > height > 1:
        hidden = len(rows) - height + 1
        rows = [*rows[: height - 1], [f"… {hidden} more line{'s' * (hidden != 1)}"]]
    return [_render_row(row, width, bold=bold) for row in rows[: max(height, 0)]]


def _render_row(row: Row, width: int, *, bold: bool) -> str:
    parts = []
    for place, cell in enumerate(row):
        text = escape_unprintable(cell)[:width]
        width -= len(text)
        if place == len(row) - 1:
            text = text.rstrip()
        parts.append(click.style(text, bold=True) if bold and isinstance(cell, Heading) else text)
    return "".join(parts)


def build_rows(model: TopModel, width: int) -> list[Row]:
    """Return the rows of the view for a terminal of ``width`` columns."""
    left = [*_purpose_rows(model), [""], *_counter_rows("dropped", model)]
    for name in ("rate_limited", "deferred", "refused_stores"):
        if model[name]:
            left += [[""], *_counter_rows(name, model)]
    table = _bucket_rows(model)
    below = _side_by_side(left, table) if width >= _TWO_COLUMN_WIDTH else [*left, [""], *table]
    return [*_header_rows(model), *_rpc_rows(model), *_lookup_rows(model), [""], *below]


def _side_by_side(left: list[Row], right: list[Row]) -> list[Row]:
    rows = []
    for one, other in zip_longest(left, right):
        padding = [] if other is None else [" " * (_LEFT_WIDTH + 2 - sum(map(len, one or [])))]
        rows.append([*(one or []), *padding, *(other or [])])
    return rows


def _header_rows(model: TopModel) -> list[Row]:
    node = model["node"]
    state = "joined" if node["joined"] else "not joined"
    address = format_endpoint((node["address"], node["port"]))
    since = f"last {model['over']:.1f} s" if model["window"] else "since the start"
    replicated, released = (
        _format_number(model["replicated_rate"]),
        _format_number(model["released_rate"]),
    )
    return [
        [Heading(f"{address}  {state}, up {_format_uptime(model['seconds'])}"), f"  {node['id']}"],
        [
            f"about {_plural(model['network_size'], 'node')},"
            f" {_plural(model['contacts'], 'contact')},"
            f" {_plural(model['calls_in_flight'], 'call')} in flight"
        ],
        [
            f"{_plural(model['values'], 'value')},"
            f" {replicated} values/s replicated, {released} values/s released"
        ],
        [f"in {_traffic(model, 'in')}   out {_traffic(model, 'out')}   {since}"],
    ]


def _traffic(model: TopModel, direction: str) -> str:
    packets, kilobytes = model["packets"][direction], model["bytes"][direction] / 1000
    return f"{_format_number(packets)} packets/s, {kilobytes:,.1f} kB/s"


def _rpc_rows(model: TopModel) -> list[Row]:
    titles = "".join(f"{title:>10}" for title in ("served/s", "errors/s", "called/s", "timeout/s"))
    rows: list[Row] = [[Heading(f"{'RPC':12}{titles}{'failed/s':>10}{'p50':>9}{'p99':>9}")]]
    columns = ("served_rate", "errors_rate", "called_rate", "timeout_rate", "failed_rate")
    for name, rpc in model["rpcs"].items():
        rates = "".join(f"{_format_number(rpc[column]):>10}" for column in columns)
        rows.append([f"{name:11.11} {rates}{_latency_cells(rpc)}"])
    return rows


def _lookup_rows(model: TopModel) -> list[Row]:
    if not model["lookups"]:
        return []
    count = f"in {model['window']:.0f} s"
    rows: list[Row] = [[Heading(f"{'lookups by':12}{count:>10}{'queries':>10}")]]
    for name, lookup in model["lookups"].items():
        queries = "-" if lookup["queries"] is None else f"{lookup['queries']:.1f}"
        row = f"{name:11.11} {_format_number(lookup['count']):>10}{queries:>10}"
        rows.append([f"{row:62}{_latency_cells(lookup)}"])
    return rows


def _latency_cells(percentiles: dict[str, Any]) -> str:
    return f"{_format_seconds(percentiles['p50']):>9}{_format_seconds(percentiles['p99']):>9}"


_PURPOSE_GROUPS = (
    ("find_node", "find_value", "store", "remove", "call"),
    ("publish", "replicate", "read_repair", "leave"),
    ("join", "maintain", "refresh", "probe", "reach"),
)
"""User operations, value maintenance, routing table maintenance."""


def _purpose_rows(model: TopModel) -> list[Row]:
    by_purpose = model["calls_by_purpose"]
    known = [name for group in _PURPOSE_GROUPS for name in group]
    names = [
        *(each for each in known if each in by_purpose),
        *(each for each in by_purpose if each not in known),
    ]
    return [_title_row("calls for"), *(_counter_row(name, by_purpose[name]) for name in names)]


def _counter_rows(name: str, model: TopModel) -> list[Row]:
    found = model[name]
    rows = [_counter_row(reason, found[reason]) for reason in found]
    return [_title_row(name), *(rows or [["none"]])]


def _title_row(name: str) -> Row:
    return [Heading(f"{name:20}{'/s':>8}{'total':>10}")]


def _counter_row(name: str, counter: dict[str, float]) -> Row:
    return [
        f"{name:19.19} {_format_number(counter['rate']):>8}{_format_number(counter['total']):>10}"
    ]


def _bucket_rows(model: TopModel) -> list[Row]:
    buckets = model["buckets"]
    max_contacts = max((each["contacts"] for each in buckets), default=1)
    rows: list[Row] = [[Heading(f"{'bucket':>6}  {'contacts':14}{'seen':>8}{'RTT':>9}")]]
    for each in buckets:
        bar = "█" * max(round(_BAR_WIDTH * each["contacts"] / max_contacts), 1)
        last_seen = (
            "-" if each["last_seen_seconds"] is None else f"{each['last_seen_seconds']:.0f} s"
        )
        rtt = _format_seconds(each["rtt_seconds"])
        rows.append([f"{each['bucket']:>6}  {each['contacts']:<3} {bar:10}{last_seen:>8}{rtt:>9}"])
    return rows if buckets else [*rows, ["  none"]]


def _format_number(value: float) -> str:
    """Return a short form: 0, 0.04, 3.2, 1,234, 56 M."""
    if value >= 10_000_000:
        return f"{value / 1_000_000:,.0f} M"
    if value == 0 or value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _format_seconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def _format_uptime(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"
