"""The view of ``kademlua top``: the model as tables."""

from __future__ import annotations

from typing import Any

from rich.columns import Columns
from rich.console import Group, JustifyMethod
from rich.table import Table

from kademlua.cli.output import address_text
from kademlua.cli.top.model import TopModel
from kademlua.terminal.console import safe_text
from kademlua.terminal.text import plural

_BAR_WIDTH = 10


def build_view(model: TopModel) -> Group:
    """Return the view; tables stand side by side if the terminal is wide enough."""
    tables = [_counter_table(model), _bucket_table(model)]
    return Group(*_header(model), _call_table(model), "", Columns(tables, (0, 2)))


def _header(model: TopModel) -> list[Any]:
    node = model["node"]
    state = "joined" if node["joined"] else "not joined"
    since = f"last {model['over']:.1f} s" if model["window"] else "since the start"
    replicated, released = (_format_number(model[f"{n}_rate"]) for n in ("replicated", "released"))
    uptime = _format_uptime(model["seconds"])
    title = safe_text(f"{address_text(node)}  {state}, up {uptime}", "bold")
    return [
        title.append(safe_text(f"  {node['id']}", "not bold")),
        f"about {plural(model['network_size'], 'node')},"
        f" {plural(model['contacts'], 'contact')},"
        f" {plural(model['calls_in_flight'], 'call')} in flight",
        f"{plural(model['values'], 'value')},"
        f" {replicated} values/s replicated, {released} values/s released",
        f"in {_traffic(model, 'in')}   out {_traffic(model, 'out')}   {since}",
    ]


def _traffic(model: TopModel, direction: str) -> str:
    packets, kilobytes = model["packets"][direction], model["bytes"][direction] / 1000
    return f"{_format_number(packets)} packets/s, {kilobytes:,.1f} kB/s"


def _call_table(model: TopModel) -> Table:
    """Return a table of calls, and of lookups if there were any, with their latencies."""
    titles = ("served/s", "errors/s", "called/s", "timeout/s", "failed/s")
    columns = ("served_rate", "errors_rate", "called_rate", "timeout_rate", "failed_rate")
    table = _table(12, 10, 10, 10, 10, 10, 9, 9)
    _add_title(table, "RPC", *titles, "p50", "p99")
    for name, rpc in model["rpcs"].items():
        _add_row(table, name, *(_format_number(rpc[each]) for each in columns), *_latencies(rpc))
    if model["lookups"]:
        _add_title(table, "lookups by", f"in {model['window']:.0f} s", "queries")
    for name, lookup in model["lookups"].items():
        queries = "-" if lookup["queries"] is None else f"{lookup['queries']:.1f}"
        count = _format_number(lookup["count"])
        _add_row(table, name, count, queries, "", "", "", *_latencies(lookup))
    return table


_PURPOSES = (
    *("find_node", "find_value", "store", "remove", "call"),
    *("publish", "replicate", "read_repair", "leave"),
    *("join", "maintain", "refresh", "probe", "reach"),
)
"""In the order of the view: user operations, value maintenance, routing table maintenance."""


def _counter_table(model: TopModel) -> Table:
    """Return the calls by purpose, then the dropped and refused packets by reason."""
    by_purpose = model["calls_by_purpose"]
    ranks = {name: rank for rank, name in enumerate(_PURPOSES)}
    order = sorted(by_purpose, key=lambda name: ranks.get(name, len(ranks)))
    sections = {"calls for": {name: by_purpose[name] for name in order}}
    sections["dropped"] = model["dropped"] or {"none": None}
    sections |= {name: model[name] for name in ("rate_limited", "deferred", "refused_stores")}
    table = _table(20, 8, 10)
    for title, counters in sections.items():
        if counters or title == "calls for":
            _add_title(table, title, "/s", "total")
            for name, counter in counters.items():
                rates = (counter["rate"], counter["total"]) if counter else ()
                _add_row(table, name, *map(_format_number, rates))
            table.add_row()
    return table


def _bucket_table(model: TopModel) -> Table:
    table = _table(7, 14, 8, 9, left=2)
    _add_title(table, "bucket", "contacts", "seen", "RTT")
    max_contacts = max((each["contacts"] for each in model["buckets"]), default=1)
    for each in model["buckets"]:
        bar = "█" * max(round(_BAR_WIDTH * each["contacts"] / max_contacts), 1)
        seen = "-" if each["last_seen_seconds"] is None else f"{each['last_seen_seconds']:.0f} s"
        rtt = _format_seconds(each["rtt_seconds"])
        _add_row(table, str(each["bucket"]), f"{each['contacts']:<3} {bar}", seen, rtt)
    if not model["buckets"]:
        _add_row(table, "none")
    return table


def _table(*min_widths: int, left: int = 1) -> Table:
    """Return a table without lines, whose ``left`` first columns are left-justified."""
    table = Table.grid()
    for place, width in enumerate(min_widths):
        justify: JustifyMethod = "left" if place < left else "right"
        table.add_column(justify=justify, min_width=width, no_wrap=True)
    return table


def _add_title(table: Table, *cells: str) -> None:
    table.add_row(*cells, style="bold")


def _add_row(table: Table, *cells: str) -> None:
    table.add_row(*map(safe_text, cells))


def _latencies(percentiles: dict[str, Any]) -> list[str]:
    return [_format_seconds(percentiles[name]) for name in ("p50", "p99")]


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
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
