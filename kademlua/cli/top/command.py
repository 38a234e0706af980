"""``kademlua top``: a running node, looked at again and again."""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from kademlua.cli.connect import through_daemon
from kademlua.cli.top.model import Figures, Sampler
from kademlua.cli.top.screen import Screen
from kademlua.cli.top.view import painted, view
from kademlua.control.client import ControlClient

_PATIENCE = 10.0
"""Seconds for an answer of the node."""
_END_KEYS = {"q", "Q", "\x04"}
_WIDTH = 80
"""Of a view that is no terminal's."""


@click.command(short_help="Watch a running node.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks.",
)
@click.option(
    "--count",
    type=click.IntRange(1),
    metavar="N",
    help="End after N views.  [default: 1 where the output is no terminal, else at q]",
)
@through_daemon(always=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each view, until ^C.")
def top(interval: float, count: int | None, socket: Path, as_json: bool) -> None:
    """Show what a running node does, by default the one on port 8001: traffic, calls by RPC and
    how long they take, what they are for, what is dropped, the routing table by bucket. q ends it.

    Rates are those of the last interval; latencies those of the last minute, as near as the
    buckets of their histograms tell.

    \b
    Examples:
        kademlua top
        kademlua top --data /var/lib/kademlua --interval 5
        kademlua top --json | jq .packets.in
    """
    with _ended_by_signals(), ControlClient(socket, patience=_PATIENCE) as node:
        sampler = Sampler(node.do)
        if as_json:
            for figures in _looks(sampler, interval, count):
                click.echo(json.dumps(figures))
                sys.stdout.flush()
        elif Screen.is_possible():
            with Screen() as screen:
                _draw(screen, sampler, interval, count)
        else:
            for figures in _looks(sampler, interval, count or 1):
                rows = view(figures, _WIDTH)
                click.echo("\n".join(painted(rows, 10 * _WIDTH, len(rows), bold=False)))


def _looks(sampler: Sampler, interval: float, count: int | None) -> Iterator[Figures]:
    """The figures of one interval after the other."""
    sampler.look()
    for _ in itertools.count() if count is None else range(count):
        time.sleep(interval)
        yield sampler.look()


def _draw(screen: Screen, sampler: Sampler, interval: float, count: int | None) -> None:
    """Draw until a key says that it is enough; anew when the window has another size."""
    for _ in itertools.count() if count is None else range(count):
        figures = sampler.look()
        until = time.monotonic() + interval
        while (left := until - time.monotonic()) > 0:
            width, height = screen.size
            screen.draw(painted(view(figures, width), width, height))
            if _END_KEYS & set(screen.wait(left)):
                return


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let ^C end the process well, and other signals with their status, but tidied up.

    By SystemExit: gevent's hub shows a traceback of KeyboardInterrupt.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(0 if number == signal.SIGINT else 128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
    former = {number: signal.signal(number, end) for number in heard}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
