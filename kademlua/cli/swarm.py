"""``kademlua swarm COUNT``: many nodes on this machine, for as long as one likes."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import gevent

from kademlua.cli.addresses import resolve
from kademlua.cli.data import require_lmdb
from kademlua.cli.options import endpoint, network_key_option
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.node import Node
from kademlua.shell.session import Shell
from kademlua.swarm import control, limits
from kademlua.swarm.launcher import Swarm, SwarmError
from kademlua.swarm.life import Life
from kademlua.swarm.plan import FIRST_PORT, Plan, PlanError, control_endpoint, node_id

logger = logging.getLogger(__name__)

_STALLED = 10.0
"""Seconds without a further node joined after which to say so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """The options that are not of the plan."""

    log_dir: Path
    shell: bool
    seconds: float | None
    verbose: bool


@click.command()
@click.argument("count", type=click.IntRange(min=1))
@click.option(
    "--first-port",
    type=click.IntRange(1, 65_535),
    default=FIRST_PORT,
    show_default=True,
    help="Port of the first node; the others have the ports after it.",
)
@click.option(
    "--bootstrap",
    type=endpoint,
    metavar="HOST:PORT",
    help="A node of the network to join.  [default: port 8001 of --host]",
)
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address of this machine for the nodes to listen on.",
)
@network_key_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes to spread the nodes over.  [default: one per processor]",
)
@click.option(
    "--log-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default="log",
    show_default=True,
    help="Where each node writes its PORT.log; made if missing.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where each node keeps its data, in a directory named by its port.  [default: in memory]",
)
@click.option("--shell", is_flag=True, help="Show the control node's shell.")
@click.option(
    "--for",
    "seconds",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="End so long after all have joined.  [default: at ^C]",
)
@click.option("--verbose", "-v", is_flag=True, help="Show each node's port and id.")
def swarm(
    count: int,
    first_port: int,
    bootstrap: Endpoint | None,
    host: str,
    network_keys: tuple[bytes, ...],
    workers: int | None,
    log_dir: Path,
    data: Path | None,
    shell: bool,
    seconds: float | None,
    verbose: bool,
) -> None:
    """Run COUNT nodes on this machine, with ids made of their ports.

    They join the network of the node at the bootstrap address. Where nobody answers there,
    a control node is started at it. ^C ends them all.
    """
    host = resolve(host.removeprefix("[").removesuffix("]"))[0]
    if data is not None:
        require_lmdb()
    try:
        plan = Plan(
            count=count,
            workers=workers or limits.processors(),
            host=host,
            first_port=first_port,
            bootstrap=_reachable(bootstrap, host) if bootstrap else control_endpoint(host),
            network_keys=network_keys,
            data_dir=str(data.absolute()) if data is not None else "",
        )
    except PlanError as error:
        raise click.UsageError(str(error)) from None
    wishes = _Wishes(log_dir=log_dir, shell=shell, seconds=seconds, verbose=verbose)
    life = Life()
    failure = life.lead(lambda: _run(plan, wishes, life))
    if failure:
        raise click.ClickException(failure)


def _reachable(bootstrap: Endpoint, host: str) -> Endpoint:
    """The bootstrap address, its host resolved, if possible to one that ``host`` reaches."""
    found = resolve(bootstrap[0])
    fitting = [addr for addr in found if (":" in addr) == (":" in host)]
    return (fitting or found)[0], bootstrap[1]


def _run(plan: Plan, wishes: _Wishes, life: Life) -> None:
    """The whole life of a swarm; raises KademluaError where it can't begin or go on."""
    limits.raise_open_files(plan)
    _make_log_dir(wishes.log_dir)
    limits.check_ports(plan)
    with _control(plan, wishes) as node:
        began = time.monotonic()
        with Swarm(plan, wishes.log_dir) as running:
            _join(plan, running)
            seconds = time.monotonic() - began
            if wishes.verbose:
                click.echo("\n".join(f"{port} : {node_id(port).hex()}" for port in plan.ports))
            nodes = "node" if plan.count == 1 else "nodes"
            click.echo(f"{plan.count} {nodes} joined in {seconds:.1f} s")
            sys.stdout.flush()
            if node is None:
                running.wait(wishes.seconds)
            else:
                _show_shell(node, running, wishes.seconds, life)


def _make_log_dir(log_dir: Path) -> None:
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SwarmError(f"can't make {log_dir}: {error.strerror}") from None


@contextmanager
def _control(plan: Plan, wishes: _Wishes) -> Iterator[Node | None]:
    """See to it that there is a node to bootstrap from; yields the shell's, if one is wanted."""
    where = format_endpoint(plan.bootstrap)
    if not control.is_answering(plan):
        with control.control_node(plan, wishes.log_dir) as node:
            click.echo(f"control node {node.id.hex()} on {where}", err=True)
            yield node if wishes.shell else None
    elif wishes.shell:
        with control.guest_node(plan, wishes.log_dir) as node:
            port = node.contact.port
            click.echo(f"a node answers on {where}; the shell's is on port {port}", err=True)
            yield node
    else:
        yield None


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
