"""``kademlua node``: one node, as a daemon or with its shell."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kademlua.cli.addresses import is_loopback, resolve
from kademlua.cli.config import load_params
from kademlua.cli.data import state_of_node
from kademlua.cli.logs import LEVELS, start_log
from kademlua.cli.options import CONTROL_PORT, endpoint, node_id
from kademlua.cli.serving import Serving
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.params import Params
from kademlua.node import Node
from kademlua.shell.input import is_foreground
from kademlua.shell.session import Shell

if TYPE_CHECKING:
    from kademlua.storage.state import NodeState

logger = logging.getLogger(__name__)


@click.command(short_help="Run a node, with its shell on a terminal.")
@click.argument("port", type=click.IntRange(0, 65535))
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address of this machine to listen on; 0.0.0.0 is all of IPv4, :: IPv4 and IPv6.",
)
@click.option(
    "--bootstrap",
    type=endpoint,
    metavar="HOST:PORT",
    multiple=True,
    help="A node to join the network by; may be given several times."
    "  [default: 127.0.0.1:8001, or [::1]:8001 from IPv6; none for PORT 8001 itself]",
)
@click.option("--no-bootstrap", is_flag=True, help="Begin a network of its own.")
@click.option(
    "--id",
    "own_id",
    type=node_id,
    metavar="HEX",
    help="The node's id, 40 hex digits.  [default: that of its data, at first random]",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where id, contacts, values and publications are kept, so that they are there again after"
    " a restart.  [default: PORT in the user's data directory, ~/.local/share/kademlua or so;"
    " none for PORT 0]",
)
@click.option("--memory", is_flag=True, help="Keep nothing.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file that sets parameters, such as  ttl = 3600.",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Log to a file.  [default: standard error output]",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="Log what is at least so grave.  [default: info; warning beside a shell on a terminal]",
)
@click.option(
    "--shell/--no-shell",
    "with_shell",
    default=None,
    help="Read commands from the standard input.  [default: if it is a terminal]",
)
def node(
    port: int,
    host: str,
    bootstrap: tuple[Endpoint, ...],
    no_bootstrap: bool,
    own_id: bytes | None,
    data: Path | None,
    memory: bool,
    config: Path | None,
    log_file: Path | None,
    log_level: str | None,
    with_shell: bool | None,
) -> None:
    """Run a node that listens on PORT (0 takes a free one), until ^C or SIGTERM.

    The first line that it prints is
    "kademlua node ID listening on ADDRESS:PORT".

    \b
    Examples:
        kademlua node 8001                     the first node on this machine
        kademlua node 8002                     joins it; help at the prompt lists the commands
        kademlua node 0 --no-shell             on any free port, as a daemon
        kademlua node 8001 --memory            keeps nothing when it ends
        kademlua node 8001 --host :: --bootstrap dht.example.org:8001
        echo 'findvalue(sha1("key"))' | kademlua node 0 --shell
    """
    if no_bootstrap and bootstrap:
        raise click.UsageError("--bootstrap and --no-bootstrap exclude each other.")
    if data is not None and memory:
        raise click.UsageError("--data and --memory exclude each other.")
    params = load_params(config) if config is not None else Params()
    host = resolve(host.removeprefix("[").removesuffix("]"))[0]
    if not bootstrap and not no_bootstrap:
        bootstrap = _default_bootstrap(host, port)
    if with_shell is None:
        with_shell = _sits_at_terminal()
    is_beside_prompt = with_shell and _sits_at_terminal() and log_file is None
    lines = start_log(log_level or ("warning" if is_beside_prompt else "info"), log_file)
    with ExitStack() as at_end:
        state = None if memory else state_of_node(port, data, params)
        if state is not None:
            at_end.callback(state.close)
        kademlua_node = _node(port, host, own_id, bootstrap, params, state)
        try:
            kademlua_node.start()
        except OSError as error:
            where = format_endpoint((host, port))
            raise click.ClickException(f"can't listen on {where}: {error.strerror}") from None
        if state is not None:
            state.attend(kademlua_node)
            at_end.callback(state.save_contacts_of, kademlua_node)
        serving = at_end.enter_context(Serving(kademlua_node))
        where = format_endpoint(kademlua_node.contact.endpoint)
        click.echo(f"kademlua node {kademlua_node.id.hex()} listening on {where}")
        if is_loopback(host) and bootstrap and all(map(_is_elsewhere, bootstrap)):
            logger.warning("%s reaches this machine only; --host 0.0.0.0 is for more", host)
        shell = Shell(kademlua_node) if with_shell else None
        if shell is not None and lines is not None:
            lines.show = shell.notice
        serving.wait(shell)
    logger.info("ended")


def _node(
    port: int,
    host: str,
    own_id: bytes | None,
    bootstrap: tuple[Endpoint, ...],
    params: Params,
    state: NodeState | None,
) -> Node:
    """The node, not started; the same as before where there is something of it."""
    if state is None:
        return Node(port, host, id=own_id, bootstrap=bootstrap, params=params)
    known = [contact.endpoint for contact in state.contacts]
    kademlua_node = Node(
        port,
        host,
        id=own_id or state.id,
        bootstrap=bootstrap,
        known=known,
        params=params,
        store=state.store,
        publications=state.publications,
    )
    state.keep_id(kademlua_node.id)
    return kademlua_node


def _default_bootstrap(host: str, port: int) -> tuple[Endpoint, ...]:
    """The node on the control port of this machine, unless that is the node itself."""
    if port == CONTROL_PORT:
        return ()
    return (("::1" if ":" in host and host != "::" else "127.0.0.1", CONTROL_PORT),)


def _sits_at_terminal() -> bool:
    """Whether a person can type here: not so for a job in the background (``kademlua node
    8001 &``), which the system would stop when it reads."""
    stdin = sys.stdin
    return stdin is not None and stdin.isatty() and is_foreground(stdin.fileno())


def _is_elsewhere(endpoint: Endpoint) -> bool:
    """Whether an address is clearly not one that the loopback interface reaches."""
    try:
        return not is_loopback(endpoint[0])
    except ValueError:  # a name: it shows when it is resolved
        return False
