"""The view of a node, as lines of text."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kademlua.cli.top.view import build_view

RATES = {"served_rate": 1234.5, "errors_rate": 0.0, "called_rate": 2.25, "timeout_rate": 0.04}
FIGURES: dict[str, Any] = {
    "node": {"id": "ab" * 20, "address": "127.0.0.1", "port": 8001, "joined": True},
    "seconds": 3723.4,
    "over": 1.0,
    "window": 59.8,
    "packets": {"in": 1234.5, "out": 8.0},
    "bytes": {"in": 150_300.0, "out": 820.0},
    "contacts": 62,
    "values": 1,
    "network_size": 1040,
    "calls_in_flight": 3,
    "replicated_rate": 5.0,
    "released_rate": 0.0,
    "rpcs": {"findnode": RATES | {"failed_rate": 0.0, "p50": 0.0012, "p99": 1.5}},
    "lookups": {"findnode": {"count": 70, "queries": 10.2, "p50": None, "p99": None}},
    "calls_by_purpose": {
        "maintain": {"rate": 0.0, "total": 20},
        "odd": {"rate": 0.0, "total": 56_000_000},
        "store": {"rate": 892.0, "total": 29199},
    },
    "dropped": {"unexpected response": {"rate": 20.9, "total": 646}},
    "rate_limited": {},
    "deferred": {},
    "refused_stores": {},
    "buckets": [
        {"bucket": 159, "contacts": 20, "last_seen_seconds": 12.4, "rtt_seconds": 0.0026},
        {"bucket": 158, "contacts": 1, "last_seen_seconds": None, "rtt_seconds": None},
    ],
}


def shown(width: int = 80, **more: Any) -> list[str]:
    """The lines that a terminal of this width shows."""
    console = Console(width=width, color_system=None, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(build_view(FIGURES | more))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_the_whole_view() -> None:
    assert shown() == [
        f"127.0.0.1:8001  joined, up 1:02:03  {'ab' * 20}",
        "about 1,040 nodes, 62 contacts, 3 calls in flight",
        "1 value, 5 values/s replicated, 0 values/s released",
        "in 1,234 packets/s, 150.3 kB/s   out 8 packets/s, 0.8 kB/s   last 1.0 s",
        "RPC           served/s  errors/s  called/s timeout/s  failed/s      p50      p99",
        "findnode         1,234         0       2.2      0.04         0   1.2 ms   1.50 s",
        "lookups by     in 60 s   queries",
        "findnode            70      10.2                                      -        -",
        "",
        "calls for                 /s     total  bucket contacts          seen      RTT",
        "store                    892    29,199  159    20  ██████████    12 s   2.6 ms",
        "maintain                   0        20  158    1   █                -        -",
        "odd                        0      56 M",
        "",
        "dropped                   /s     total",
        "unexpected response     20.9       646",
        "",
    ]


def test_narrow_window_stacks_tables() -> None:
    lines = shown(60)
    buckets = lines.index("bucket contacts          seen      RTT")
    assert lines.index("dropped                   /s     total") < buckets
    assert lines[buckets - 1] == ""


def test_view_of_idle_node() -> None:
    empty = {
        "lookups": {},
        "calls_by_purpose": {},
        "dropped": {},
        "buckets": [],
        "window": 0.0,
        "rpcs": {},
    }
    lines = shown(77, **empty, over=3723.4, packets={"in": 0.0, "out": 0.04})
    assert lines[3:] == [
        "in 0 packets/s, 150.3 kB/s   out 0.04 packets/s, 0.8 kB/s   since the start",
        "RPC           served/s  errors/s  called/s timeout/s  failed/s      p50",
        "",
        "calls for                 /s     total",
        "",
        "dropped                   /s     total",
        "none",
        "",
        "bucket contacts          seen      RTT",
        "none",
    ]


def test_refused_stores_are_shown_if_any() -> None:
    lines = shown(60, refused_stores={"no room for more values": {"rate": 1.0, "total": 5}})
    place = lines.index("refused_stores               /s     total")
    assert lines[place + 1] == "no room for more values       1         5"


@given(st.integers(1, 200))
def test_view_fits_every_width(width: int) -> None:
    assert all(len(line) <= width for line in shown(width))


def test_markup_and_control_characters_are_shown_as_text() -> None:
    lines = shown(dropped={"[b]x[/b]\x1b[2J": {"rate": 0.0, "total": 1}})
    assert lines[15].startswith("[b]x[/b]\\x1b[2J  ")


def test_text_of_the_node_is_escaped() -> None:
    evil, escaped = "a\x1b[31m\r\u202eb", r"a\x1b[31m\r\u202eb"
    counters = {evil: {"rate": 0.0, "total": 1}}
    lines = shown(
        200,
        node=FIGURES["node"] | {"id": evil, "address": evil},
        rpcs={evil: FIGURES["rpcs"]["findnode"]},
        lookups={evil: FIGURES["lookups"]["findnode"]},
        **dict.fromkeys(("calls_by_purpose", "dropped", "refused_stores"), counters),
    )
    assert "\n".join(lines).count(escaped) == 7
    assert all(line.isprintable() for line in lines)
