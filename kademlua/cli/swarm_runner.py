"""The run of ``kademlua swarm``: nodes, control node, shell and HTTP."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click

from kademlua.api.program import Program
from kademlua.cli.data_dirs import default_data_dir
from kademlua.cli.http import HttpOptions, start_http
from kademlua.cli.output import announce
from kademlua.cli.signals import SignalHandler
from kademlua.control.server import ControlServer
from kademlua.control.unix_socket import SOCKET_NAME
from kademlua.core.contact import format_endpoint
from kademlua.core.errors import KademluaError
from kademlua.node.node import Node
from kademlua.shell.shell import Shell
from kademlua.swarm import control_node, resource_limits
from kademlua.swarm.launcher import Swarm
from kademlua.swarm.logs import unwritable_log_message
from kademlua.swarm.plan import Plan, node_id

_STALL_SECONDS = 10.0
"""Seconds without another joined node until a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmOptions:
    """The options that are not part of the plan."""

    log_dir: Path
    shell: bool
    seconds: float | None
    verbose: bool
    http: HttpOptions
    churn: float | None


def run_swarm(plan: Plan, options: SwarmOptions, signals: SignalHandler) -> None:
    """Run a swarm to its end.

    Raises:
        KademluaError, OSError, click.ClickException: the swarm cannot start or continue.
    """
    resource_limits.raise_open_file_limit(plan)
    try:
        options.log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(unwritable_log_message(error)) from None
    resource_limits.check_ports(plan)
    with ExitStack() as exit_stack:
        node = exit_stack.enter_context(_bootstrap_node(plan, options, signals))
        swarm = Swarm(plan, options.log_dir)
        _start_http(node, plan, swarm, options, exit_stack)
        started_at = time.monotonic()
        with swarm:
            _join_with_progress(plan, swarm)
            seconds = time.monotonic() - started_at
            if options.verbose:
                announce("\n".join(f"{port} : {node_id(port).hex()}" for port in plan.ports))
            nodes = "node" if plan.node_count == 1 else "nodes"
            announce(f"{plan.node_count} {nodes} joined in {seconds:.1f} s")
            sys.stdout.flush()
            if options.churn is not None:
                swarm.start_churn(options.churn)
            if node is None or not options.shell:
                swarm.wait(options.seconds)
            else:
                with signals.attached(Shell(node, ends="the swarm")):
                    swarm.wait(options.seconds)


@contextmanager
def _bootstrap_node(
    plan: Plan, options: SwarmOptions, signals: SignalHandler
) -> Iterator[Node | None]:
    """Start a control node unless a node answers at the bootstrap address.

    Yield the node for the shell and HTTP: the control node, a joined node, or None if neither
    is needed.
    """
    address = format_endpoint(plan.bootstrap)
    if not control_node.is_bootstrap_answering(plan):
        with control_node.control_node(plan, options.log_dir) as node:
            announce(f"control node {node.id.hex()} on {address}", err=True)
            with _control_server(node, plan, signals):
                yield node
    elif options.shell or options.http.listen is not None:
        with control_node.joined_node(plan, options.log_dir) as node:
            port = node.contact.port
            owner = "the shell node" if options.shell else "the HTTP node"
            announce(f"a node answers on {address}; {owner} is on port {port}", err=True)
            yield node
    else:
        yield None


@contextmanager
def _control_server(node: Node, plan: Plan, signals: SignalHandler) -> Iterator[None]:
    """Serve the control socket of the control node, for ``kademlua top``, ``stop`` and others.

    It is in the node's data directory, or where that would be by default. A failure is a warning.
    """
    port = plan.bootstrap[1]
    is_temporary, data_directory = False, None
    try:
        if plan.data_dir:
            directory = data_directory = Path(plan.data_dir) / str(port)
        else:
            directory = default_data_dir(port, plan.network_keys)
            is_temporary = not directory.exists()
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        program = Program(data_directory=data_directory, stop=signals.stop)
        server = ControlServer(node, directory / SOCKET_NAME, program)
    except (click.ClickException, KademluaError, OSError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else error
        announce(f"kademlua top, stored and others can't reach the swarm: {reason}", err=True)
        yield
        return
    server.start()
    try:
        yield
    finally:
        server.close()
        if is_temporary:
            with suppress(OSError):  # another command may have stored something there
                directory.rmdir()


def _start_http(
    node: Node | None, plan: Plan, swarm: Swarm, options: SwarmOptions, exit_stack: ExitStack
) -> None:
    """Serve HTTP if requested; it starts before the nodes."""
    if node is None or options.http.listen is None:
        return
    swarm.event_hub.set_control_node(node)
    data = Path(plan.data_dir) if plan.data_dir else None
    line = start_http(node, options.http, data, exit_stack, swarm.event_hub)
    if line is not None:
        announce(line, err=True)


def _join_with_progress(plan: Plan, swarm: Swarm) -> None:
    """Wait until all nodes have joined; on a terminal, show a progress bar."""
    if not sys.stderr.isatty():
        _wait_joined(plan, swarm, lambda joined: None)
        return
    width = max(1, min(36, shutil.get_terminal_size().columns - len("joining  []  100% ")))
    with click.progressbar(
        length=plan.node_count, label="joining", file=sys.stderr, width=width
    ) as bar:
        _wait_joined(plan, swarm, lambda joined: bar.update(joined - bar.pos))


def _wait_joined(plan: Plan, swarm: Swarm, on_progress: Callable[[int], None]) -> None:
    while not swarm.wait_joined(on_progress, _STALL_SECONDS):
        announce(
            f"still joining, {swarm.joined_count} of {plan.node_count} so far: does"
            f" {format_endpoint(plan.bootstrap)} answer?",
            err=True,
        )
