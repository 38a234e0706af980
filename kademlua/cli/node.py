"""``kademlua node``: one node, as a daemon or with its shell."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kademlua.api.program import Program
from kademlua.cli.addresses import is_loopback, is_off_host, resolve
from kademlua.cli.config import Config, load_config
from kademlua.cli.data_dirs import data_dir_for_node, open_state
from kademlua.cli.discover import discovery
from kademlua.cli.extras import require_package
from kademlua.cli.http import HttpOptions, http_options, start_http
from kademlua.cli.logs import (
    FORMATS,
    LEVELS,
    CallbackHandler,
    add_node_id,
    configure_logging,
    log_unhandled_errors,
)
from kademlua.cli.options import (
    ANY_PATH,
    CONTROL_PORT,
    DIRECTORY,
    endpoint,
    load_network_keys,
    network_key_option,
    node_id,
    port_number,
)
from kademlua.cli.output import announce
from kademlua.cli.sd_notify import SystemdNotifier
from kademlua.cli.signals import SignalHandler
from kademlua.control.server import ControlServer
from kademlua.control.unix_socket import SOCKET_NAME, ControlError
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.crypto.fingerprint import secret_fingerprint
from kademlua.node.node import Node
from kademlua.node.options import NodeOptions
from kademlua.runtime.logging_transport import LoggingTransport
from kademlua.shell.line_reader import is_foreground
from kademlua.shell.shell import Shell

if TYPE_CHECKING:
    from kademlua.storage.node_state import NodeState

logger = logging.getLogger(__name__)


@click.command(short_help="Run a node, on a terminal with a shell.")
@click.argument("port", type=port_number, default=str(CONTROL_PORT))
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    help="Local address to listen on; 0.0.0.0 is all of IPv4, :: IPv4 and IPv6.",
)
@click.option(
    "--bootstrap",
    type=endpoint,
    metavar="HOST[:PORT]",
    multiple=True,
    help="A node to bootstrap from; may be repeated."
    "  [default: 127.0.0.1:8001, or [::1]:8001 from IPv6; none for PORT 8001 itself]",
)
@click.option("--no-bootstrap", is_flag=True, help="Start a new network.")
@click.option(
    "--discover",
    is_flag=True,
    help="Discover nodes on the same LAN by mDNS; disables the default --bootstrap.",
)
@click.option(
    "--id",
    "own_id",
    type=node_id,
    metavar="HEX",
    help="The node's id, 40 hex digits.  [default: the saved id, or a random one]",
)
@network_key_option
@click.option(
    "--data",
    type=DIRECTORY,
    metavar="DIR",
    help="Directory of id, contacts, values and publications, which survive a restart."
    "  [default: PORT in the user's data directory, ~/.local/share/kademlua on Linux;"
    " with a digest of the key in a private network; none for PORT 0]",
)
@click.option("--memory", is_flag=True, help="Save nothing to disk.")
@click.option(
    "--control",
    type=ANY_PATH,
    metavar="PATH",
    help='Control socket of this node, for "kademlua shell", "publish" and others.'
    "  [default: control.sock in its data directory; none with --memory]",
)
@click.option(
    "--config",
    type=ANY_PATH,
    metavar="FILE",
    help="TOML file that sets parameters, such as ttl = 3600, and network_key = FILE.",
)
@click.option(
    "--log-file",
    type=ANY_PATH,
    metavar="FILE",
    help="Log to a file; SIGHUP reopens it.  [default: standard error]",
)
@click.option(
    "--log-format",
    type=click.Choice(FORMATS, case_sensitive=False),
    default="text",
    help="Format of log lines.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="Minimum log level; packets logs each packet, too.  [default: info, or warning with a"
    " shell on a terminal]",
)
@click.option(
    "--shell/--no-shell",
    "with_shell",
    default=None,
    help="Read commands from standard input. ^D and exit end the node; the end of a pipe or file"
    " does not.  [default: on if it is a terminal]",
)
@http_options
def node(
    *,
    port: int,
    host: str,
    bootstrap: tuple[Endpoint, ...],
    no_bootstrap: bool,
    discover: bool,
    own_id: bytes | None,
    network_keys: tuple[bytes, ...],
    data: Path | None,
    memory: bool,
    control: Path | None,
    config: Path | None,
    log_file: Path | None,
    log_format: str,
    log_level: str | None,
    with_shell: bool | None,
    http: HttpOptions,
) -> None:
    """Run a node on UDP port PORT, by default 8001 (0 is any free port), until SIGTERM, or ^C
    without a shell.

    The first line of output is "kademlua node ID listening on ADDRESS:PORT".

    \b
    Examples:
        kademlua node                          start the first node, on port 8001
        kademlua node 8002                     join it; "help" lists the shell commands
        kademlua node 0 --no-shell             use any free port, without a shell
        kademlua node 8001 --memory            save nothing to disk
        kademlua node 8001 --http 127.0.0.1:8080
        kademlua node 8001 --host :: --bootstrap dht.example.org:8001
        kademlua node 8001 --network-key network.key
        kademlua node 8001 --host 0.0.0.0 --discover    discover nodes on the LAN
        (echo 'findvalue("key")'; echo exit) | kademlua node 0 --shell
    """
    if no_bootstrap and bootstrap:
        raise click.UsageError("--bootstrap and --no-bootstrap exclude each other.")
    if data is not None and memory:
        raise click.UsageError("--data and --memory exclude each other.")
    settings = load_config(config) if config is not None else Config()
    params = settings.params
    network_keys = network_keys or load_network_keys(settings.network_key_files)
    host = resolve(host)[0]
    if discover:
        require_package("zeroconf", "discover")
    if not bootstrap and not no_bootstrap and not discover:
        bootstrap = _default_bootstrap(host, port)
    if with_shell is None:
        with_shell = _is_interactive()
    shares_terminal = with_shell and _is_interactive() and log_file is None
    logs_packets = log_level == "packets"
    level = "debug" if logs_packets else log_level or ("warning" if shares_terminal else "info")
    log_handler = configure_logging(level, log_file, log_format)
    log_unhandled_errors()
    transport = LoggingTransport(host, port, params) if logs_packets else None
    options = NodeOptions(id=own_id, network_keys=network_keys, transport=transport)
    with ExitStack() as exit_stack:
        path = None if memory else data_dir_for_node(port, data, network_keys)
        state = open_state(path, params) if path is not None else None
        if state is not None:
            exit_stack.callback(state.close)
            options = _with_state(options, state)
        kademlua_node = Node(port, host, bootstrap=bootstrap, params=params, options=options)
        if state is not None:
            state.persist_id(kademlua_node.id)
        if not shares_terminal:
            add_node_id(log_handler, kademlua_node.id)
        try:
            kademlua_node.start()
        except OSError as error:
            address = format_endpoint((host, port))
            raise click.ClickException(f"can't listen on {address}: {error.strerror}") from None
        if state is not None:
            state.start_autosave(kademlua_node)
            exit_stack.callback(state.save_table, kademlua_node)
        http_line = start_http(kademlua_node, http, path, exit_stack)
        signal_handler = exit_stack.enter_context(
            SignalHandler(
                kademlua_node.close,
                lambda: kademlua_node.close(hand_over=False),
                ignores_hangup=log_file is not None and not with_shell,
            )
        )
        program = Program(data_directory=path, stop=signal_handler.stop)
        server = _start_control_server(kademlua_node, program, control)
        if server is not None:
            exit_stack.callback(server.close)
            signal_handler.interrupt_shells = server.interrupt
        address = format_endpoint(kademlua_node.contact.endpoint)
        announce(f"kademlua node {kademlua_node.id.hex()} listening on {address}")
        for line in _describe(path, network_keys):
            if shares_terminal:
                announce(line)
            else:
                logger.info("%s", line)
        if http_line is not None:
            announce(http_line)
        if is_loopback(host) and bootstrap and all(map(is_off_host, bootstrap)):
            logger.warning("%s reaches only this machine; use --host 0.0.0.0 to reach others", host)
        shell = Shell(kademlua_node) if with_shell else None
        if shell is not None and isinstance(log_handler, CallbackHandler):
            log_handler.show = shell.print_above_prompt
        if discover:
            exit_stack.enter_context(discovery(kademlua_node, network_keys))
        with SystemdNotifier(kademlua_node):
            signal_handler.wait(shell)
    logger.info("ended")


def _with_state(options: NodeOptions, state: NodeState) -> NodeOptions:
    """Add the saved identity, contacts and values of a data directory."""
    return replace(
        options,
        id=options.id or state.id,
        identity=None if options.id else state.identity,
        last_addresses=state.addresses,
        cached_endpoints=[contact.endpoint for contact in state.contacts],
        store=state.store,
        publication_store=state.publications,
    )


def _describe(path: Path | None, network_keys: tuple[bytes, ...]) -> list[str]:
    """Return lines on where the data is, and which network keys are used."""
    lines = [f"data in {path}" if path is not None else "data in memory only"]
    if network_keys:
        fingerprints = ", ".join(map(secret_fingerprint, network_keys))
        lines.append(f"private network; key fingerprint {fingerprints}")
    return lines


def _start_control_server(
    kademlua_node: Node, program: Program, path: Path | None
) -> ControlServer | None:
    """Start the control server; raise ControlError for an unusable ``path``, if given."""
    data = program.data_directory
    socket_path = path or (data / SOCKET_NAME if data is not None else None)
    if socket_path is None:
        return None
    try:
        server = ControlServer(kademlua_node, socket_path, program)
    except ControlError as error:
        if path is not None:
            raise
        logger.warning("%s", error)
        return None
    server.start()
    return server


def _default_bootstrap(host: str, port: int) -> tuple[Endpoint, ...]:
    """Return the node on port 8001 of this machine, unless ``port`` is 8001."""
    if port == CONTROL_PORT:
        return ()
    return (("::1" if ":" in host and host != "::" else "127.0.0.1", CONTROL_PORT),)


def _is_interactive() -> bool:
    """Return whether standard input is a terminal, and this is a foreground job. The system
    suspends a background job (``kademlua node 8001 &``) that reads its terminal."""
    stdin = sys.stdin
    return stdin is not None and stdin.isatty() and is_foreground(stdin.fileno())
