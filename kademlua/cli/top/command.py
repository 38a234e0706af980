"""``kademlua top``: watch a running node."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import click

from kademlua.cli.connect import daemon_options
from kademlua.cli.signals import exit_on_signals
from kademlua.cli.top.model import Sampler, TopModel
from kademlua.control.client import ControlClient

_REPLY_TIMEOUT = 10.0
"""Seconds to wait for a reply of the node."""
_QUIT_KEYS = {"q", "Q", "\x04"}


@click.command(short_help="Watch a running node.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two views, 0.1 to 3600.",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    metavar="N",
    help="End after N views.  [default: until q on a terminal, otherwise 1]",
)
@daemon_options(required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one line per view, until ^C.")
def top(interval: float, count: int | None, socket: Path, as_json: bool) -> None:
    """Show the activity of a running node, by default the one on port 8001: traffic, calls by RPC
    and by purpose, latencies, dropped packets, the routing table by bucket. q quits.

    Rates cover the last interval. Latencies cover the last minute, estimated from histograms.

    \b
    Examples:
        kademlua top
        kademlua top --data /var/lib/kademlua --interval 5
        kademlua top --json | jq .packets.in
    """
    with (
        exit_on_signals(interrupt_status=0),
        ControlClient(socket, timeout=_REPLY_TIMEOUT) as node,
    ):
        sampler = Sampler(node.call)
        if as_json:
            for model in _samples(sampler, interval, count):
                click.echo(json.dumps(model))
        else:
            _show(sampler, interval, count)


def _samples(sampler: Sampler, interval: float, count: int | None) -> Iterator[TopModel]:
    """Yield one model per interval."""
    sampler.sample()
    for _ in itertools.count() if count is None else range(count):
        time.sleep(interval)
        yield sampler.sample()


def _show(sampler: Sampler, interval: float, count: int | None) -> None:
    """Draw on a terminal until q or ^D, and when it is resized; otherwise, print plain text."""
    # Imported here, because the list of commands imports this module, and rich is large.
    from kademlua.cli.top.screen import Screen
    from kademlua.cli.top.view import build_view
    from kademlua.terminal.console import make_console

    console = make_console()
    if not console.is_interactive or count == 1:
        for model in _samples(sampler, interval, count or 1):
            console.print(build_view(model))
        return
    with Screen(console) as screen:
        for _ in itertools.count() if count is None else range(count):
            view = build_view(sampler.sample())
            deadline = time.monotonic() + interval
            while (remaining := deadline - time.monotonic()) > 0:
                screen.draw(view)
                if _QUIT_KEYS & set(screen.wait(remaining)):
                    return
