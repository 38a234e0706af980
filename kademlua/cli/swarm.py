"""``kademlua swarm COUNT``: run many nodes on this machine."""

from __future__ import annotations

from pathlib import Path

import click
import gevent

from kademlua.cli.addresses import resolve
from kademlua.cli.extras import require_package
from kademlua.cli.http import HttpOptions, http_options
from kademlua.cli.options import DIRECTORY, endpoint, network_key_option
from kademlua.cli.options import seconds as duration
from kademlua.cli.signals import SignalHandler
from kademlua.cli.swarm_runner import SwarmOptions, run_swarm
from kademlua.core.contact import Endpoint
from kademlua.swarm import resource_limits
from kademlua.swarm.plan import FIRST_PORT, Plan, PlanError, control_endpoint


@click.command()
@click.argument("count", type=click.IntRange(min=1))
@click.option(
    "--first-port",
    type=click.IntRange(1, 65_535),
    default=FIRST_PORT,
    help="Port of the first node; the others use the following ports.",
)
@click.option(
    "--bootstrap",
    type=endpoint,
    metavar="HOST[:PORT]",
    help="A node to bootstrap from.  [default: port 8001 of --host]",
)
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    help="Address of this machine for the nodes to listen on.",
)
@network_key_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Number of worker processes.  [default: one per processor]",
)
@click.option(
    "--log-dir",
    type=DIRECTORY,
    default="log",
    help="Directory of the log files, PORT.log; created if missing.",
)
@click.option(
    "--data",
    type=DIRECTORY,
    metavar="DIR",
    help="Directory of the nodes' data, one subdirectory per port.  [default: in memory]",
)
@click.option("--shell", is_flag=True, help="Show the control node's shell.")
@click.option(
    "--for",
    "seconds",
    metavar="TIME",
    type=duration,
    help="End this long after all nodes joined: seconds, or a duration like 90s, 2m.  [default: at"
    " ^C]",
)
@click.option(
    "--churn",
    type=duration,
    metavar="TIME",
    help="Kill nodes and start others, with this median session time, such as 90s, 2m, 1h."
    "  [default: no churn]",
)
@http_options
@click.option("--verbose", "-v", is_flag=True, help="Show each node's port and id.")
def swarm(
    *,
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
    http: HttpOptions,
    verbose: bool,
) -> None:
    """Run COUNT nodes on this machine, with ids derived from their ports.

    They join the network of the node at the bootstrap address. If no node replies there, a control
    node is started at this address. ^C ends all nodes.

    --http serves a page of all nodes and running lookups. While the page is open, the nodes make
    two lookups per second. Its form and API act through the control node.

    \b
    Examples:
        kademlua swarm 100 --shell
        kademlua swarm 100 --http 127.0.0.1:8080
        kademlua swarm 100 --http 127.0.0.1:8080 --churn 2m
        kademlua swarm 100 --first-port 9003   joins the network of another swarm
    """
    host = resolve(host)[0]
    if data is not None:
        require_package("lmdb", "disk")
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
        http=http,
        churn=churn,
    )
    _run_until_signal(plan, options)


def _run_until_signal(plan: Plan, options: SwarmOptions) -> None:
    """Run a swarm to its end or a signal."""

    def run() -> Exception | None:
        try:
            run_swarm(plan, options, signals)
        except Exception as error:  # gevent would print a traceback
            return error
        finally:
            signals.stop()
        return None

    # A second signal must not interrupt the orderly end.
    with SignalHandler(lambda: runner.kill(), lambda: None) as signals:
        runner = gevent.spawn(run)
        signals.wait()
    error = runner.get()
    if isinstance(error, Exception):  # a killed greenlet returns GreenletExit, which is none
        raise error


def _resolve_bootstrap(bootstrap: Endpoint, host: str) -> Endpoint:
    """Resolve the bootstrap host, preferably to the address family of ``host``."""
    found = resolve(bootstrap[0])
    same_family = [addr for addr in found if (":" in addr) == (":" in host)]
    return (same_family or found)[0], bootstrap[1]
