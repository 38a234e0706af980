"""``kademlua swarm COUNT``: many nodes on this machine, for as long as one likes."""

from __future__ import annotations

from pathlib import Path

import click

from kademlua.cli.addresses import resolve
from kademlua.cli.data_dirs import require_lmdb
from kademlua.cli.http import HttpOptions, http_options
from kademlua.cli.options import endpoint, network_key_option
from kademlua.cli.options import seconds as duration
from kademlua.cli.swarm_runner import SwarmOptions, run_swarm
from kademlua.core.contact import Endpoint
from kademlua.swarm import resource_limits
from kademlua.swarm.plan import FIRST_PORT, Plan, PlanError, control_endpoint
from kademlua.swarm.signals import SignalGuard


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
@click.option(
    "--churn",
    type=duration,
    metavar="TIME",
    help="Let nodes die without a word, and others come: half of them live longer than TIME,"
    " such as 90s, 2m, 1h.  [default: all live]",
)
@http_options
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
    churn: float | None,
    http: Endpoint | None,
    http_token: Path | None,
    http_name: tuple[str, ...],
    verbose: bool,
) -> None:
    """Run COUNT nodes on this machine, with ids made of their ports.

    They join the network of the node at the bootstrap address. Where nobody answers there,
    a control node is started at it. ^C ends them all.

    With --http a page shows all nodes, and lookups as they run; while somebody looks, the nodes
    make two lookups a second of their own. Its form and its API act through the control node.

    \b
    Examples:
        kademlua swarm 100 --shell
        kademlua swarm 100 --http 127.0.0.1:8080
        kademlua swarm 100 --http 127.0.0.1:8080 --churn 2m
        kademlua swarm 100 --first-port 9003   in the network of another swarm
    """
    http_settings = HttpOptions(http, http_token, http_name)
    http_settings.check()
    host = resolve(host.removeprefix("[").removesuffix("]"))[0]
    if data is not None:
        require_lmdb()
    try:
        plan = Plan(
            node_count=count,
            worker_count=workers or resource_limits.cpu_count(),
            host=host,
            first_port=first_port,
            bootstrap=_resolve_bootstrap(bootstrap, host) if bootstrap else control_endpoint(host),
            network_keys=network_keys,
            data_dir=str(data.absolute()) if data is not None else "",
        )
    except PlanError as error:
        raise click.UsageError(str(error)) from None
    options = SwarmOptions(
        log_dir=log_dir,
        shell=shell,
        seconds=seconds,
        verbose=verbose,
        http=http_settings,
        churn=churn,
    )
    signal_guard = SignalGuard()
    failure = signal_guard.run(lambda: run_swarm(plan, options, signal_guard))
    if failure:
        raise click.ClickException(failure)


def _resolve_bootstrap(bootstrap: Endpoint, host: str) -> Endpoint:
    """The bootstrap address, its host resolved, if possible to one that ``host`` reaches."""
    found = resolve(bootstrap[0])
    same_family = [addr for addr in found if (":" in addr) == (":" in host)]
    return (same_family or found)[0], bootstrap[1]
