"""What ``kademlua swarm`` does: nodes, a control node, a shell and HTTP, until the end."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import gevent

from kademlua.cli.http import HttpChoice, start_http
from kademlua.core.contact import format_endpoint
from kademlua.node.node import Node
from kademlua.shell.shell import Shell
from kademlua.swarm import control_node, resource_limits
from kademlua.swarm.launcher import Swarm, SwarmError
from kademlua.swarm.plan import Plan, node_id
from kademlua.swarm.signals import Life

logger = logging.getLogger(__name__)

_STALLED = 10.0
"""Seconds without a further node joined after which to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options that are not of the plan."""

    log_dir: Path
    shell: bool
    seconds: float | None
    verbose: bool
    http: HttpChoice
    churn: float | None


def run_swarm(plan: Plan, wishes: Wishes, life: Life) -> None:
    """The whole life of a swarm; raises KademluaError where it can't begin or go on."""
    resource_limits.raise_open_files(plan)
    _make_log_dir(wishes.log_dir)
    resource_limits.check_ports(plan)
    with ExitStack() as at_end:
        node = at_end.enter_context(_control(plan, wishes))
        running = Swarm(plan, wishes.log_dir)
        _show_over_http(node, plan, running, wishes, at_end)
        began = time.monotonic()
        with running:
            _join(plan, running)
            seconds = time.monotonic() - began
            if wishes.verbose:
                click.echo("\n".join(f"{port} : {node_id(port).hex()}" for port in plan.ports))
            nodes = "node" if plan.count == 1 else "nodes"
            click.echo(f"{plan.count} {nodes} joined in {seconds:.1f} s")
            sys.stdout.flush()
            if wishes.churn is not None:
                running.churn(wishes.churn)
            if node is None or not wishes.shell:
                running.wait(wishes.seconds)
            else:
                _show_shell(node, running, wishes.seconds, life)


def _make_log_dir(log_dir: Path) -> None:
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SwarmError(f"can't make {log_dir}: {error.strerror}") from None


@contextmanager
def _control(plan: Plan, wishes: Wishes) -> Iterator[Node | None]:
    """See to it that there is a node to bootstrap from; yields one of our own, if there is one:
    where others have the first, that is for the shell and HTTP, if wanted."""
    where = format_endpoint(plan.bootstrap)
    if not control_node.is_answering(plan):
        with control_node.control_node(plan, wishes.log_dir) as node:
            click.echo(f"control node {node.id.hex()} on {where}", err=True)
            yield node
    elif wishes.shell or wishes.http.listen is not None:
        with control_node.guest_node(plan, wishes.log_dir) as node:
            port = node.contact.port
            whose = "the shell's" if wishes.shell else "that of HTTP"
            click.echo(f"a node answers on {where}; {whose} is on port {port}", err=True)
            yield node
    else:
        yield None


def _show_over_http(
    node: Node | None, plan: Plan, running: Swarm, wishes: Wishes, at_end: ExitStack
) -> None:
    """Answer HTTP until the end, if that was asked for; it begins before the nodes do."""
    if node is None or wishes.http.listen is None:
        return
    running.watch.add_control(node)
    data = Path(plan.data_dir) if plan.data_dir else None
    try:
        line = start_http(node, wishes.http, data, at_end, running.watch)
    except click.ClickException as error:  # not to be raised from a greenlet
        raise SwarmError(error.message) from None
    click.echo(line, err=True)


def _join(plan: Plan, running: Swarm) -> None:
    """Wait until all have joined, with a progress bar where somebody looks."""
    if not sys.stderr.isatty():
        _wait_joined(plan, running, lambda joined: None)
        return
    with click.progressbar(length=plan.count, label="joining", file=sys.stderr) as bar:
        _wait_joined(plan, running, lambda joined: bar.update(joined - bar.pos))


def _wait_joined(plan: Plan, running: Swarm, progress: Callable[[int], None]) -> None:
    while not running.wait_joined(progress, _STALLED):
        click.echo(
            f"still joining, {running.joined} of {plan.count} so far: does"
            f" {format_endpoint(plan.bootstrap)} answer?",
            err=True,
        )


def _show_shell(node: Node, running: Swarm, seconds: float | None, life: Life) -> None:
    """Show the shell beside the swarm's life, which its user may end, too."""
    shell = Shell(node)
    life.shell = shell

    def converse() -> None:
        try:
            ends = shell.run()
        except Exception:
            logger.exception("the shell broke down")
            ends = shell.interactive
        if ends:
            running.stop()

    runner = gevent.spawn(converse)
    try:
        running.wait(seconds)
    finally:
        runner.kill()
        shell.close()
