"""Connections of commands to a running node or an ephemeral client."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeVar

import click

from kademlua.api.api_call import ApiCall, LocalCall
from kademlua.api.operations import NodeApi
from kademlua.cli.data_dirs import data_dir_patterns, default_data_dir, find_data_dir
from kademlua.cli.ephemeral_client import ephemeral_node, exit_on_sigint, show_progress
from kademlua.cli.identity import NoIdentity, client_identity
from kademlua.cli.options import ANY_PATH, CONTROL_PORT, DIRECTORY, network_key_option, via_option
from kademlua.control.client import ControlClient, NoNode
from kademlua.control.unix_socket import SOCKET_NAME
from kademlua.core.contact import Endpoint
from kademlua.core.errors import KademluaError

_R = TypeVar("_R")


class _DaemonCall:
    """The operations of a running node."""

    def __init__(self, client: ControlClient) -> None:
        self.stream = client.stream
        self._call = client.call

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        return self._call(name, **fields)


OpenApi = Callable[[], AbstractContextManager[ApiCall]]
"""Opens the API of the node that the options of a command select."""

_DAEMON_OPTIONS = [
    click.option(
        "--data",
        type=DIRECTORY,
        metavar="DIR",
        help="Act through the running node with this data directory.",
    ),
    click.option(
        "--port",
        type=click.IntRange(1, 65535),
        metavar="PORT",
        help="Act through the running node on this port, 1 to 65535.",
    ),
    click.option(
        "--control",
        type=ANY_PATH,
        metavar="PATH",
        help="Act through the node with this control socket."
        "  [default: control.sock in the data directory]",
    ),
]


def daemon_options(
    *, required: bool, chooses: bool = True
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Add the options that name a running node.

    The command receives the path of its control socket as ``socket``. Without an option, this is
    the socket of the node on port 8001, or if it ``chooses`` of the only node; None unless
    ``required``.
    """

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(function)
        def command(
            *, data: Path | None, port: int | None, control: Path | None, **options: Any
        ) -> _R:
            socket = control
            if socket is None and data is not None:
                socket = data / SOCKET_NAME
            elif socket is None and (port is not None or required):
                socket = _socket_of_port(port, chooses=chooses)
            return function(socket=socket, **options)

        for option in reversed(_DAEMON_OPTIONS):
            command = option(command)
        return command

    return decorate


def daemon_api_options(function: Callable[..., _R]) -> Callable[..., _R]:
    """Add the options that name a running node; the command receives ``open_api``, its API."""

    @daemon_options(required=True)
    @functools.wraps(function)
    def command(*, socket: Path, **options: Any) -> _R:
        return function(open_api=functools.partial(daemon_api, socket), **options)

    return command


def _socket_of_port(port: int | None, *, chooses: bool) -> Path:
    """Return the socket of the node on a port, by default 8001, or if it ``chooses`` by default of
    the only node.

    Raises:
        click.ClickException: no node runs there.
        ControlError: the socket cannot be used.
    """
    wanted = port or CONTROL_PORT
    socket = find_data_dir(wanted) / SOCKET_NAME
    try:
        ControlClient(socket).close()
        return socket
    except NoNode:
        found = find_running_node() if port is None and chooses else None
    if found is not None:
        return _announced(found)
    others = ", ".join(_running_nodes())
    hint = f"start one with: kademlua node {wanted}"
    if others:
        hint = f"nodes run on: {others}; choose one with --port"
    raise click.ClickException(
        f"no node runs on port {wanted}, or only one without a data directory; {hint}"
    )


@contextmanager
def connect(socket: Path, *, quiet: bool = False) -> Iterator[ControlClient]:
    """Connect to the node at a control socket, ``quiet`` without progress output.

    Raises:
        ControlError: no node runs there.
    """
    progress = nullcontext() if quiet else show_progress("asking the node")
    with exit_on_sigint(), ControlClient(socket) as client, progress:
        yield client


class Ownership(Enum):
    """Whether a command acts as the owner of values."""

    NONE = auto()
    """It only reads."""
    IF_POSSIBLE = auto()
    """It stores as an owner that can replace the value later, if there can be one."""
    REQUIRED = auto()
    """It changes values of its owner."""


def api_options(
    ownership: Ownership = Ownership.NONE,
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Add the options of an ephemeral client, and those that name a running node.

    The command receives ``open_api``, which opens the API of the node that they select. Without
    an option, this is a running node of this user, if there is one.
    """

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @via_option
        @network_key_option
        @daemon_options(required=False)
        @functools.wraps(function)
        def command(
            *,
            via: Endpoint | None,
            network_keys: tuple[bytes, ...],
            socket: Path | None,
            **options: Any,
        ) -> _R:
            if via is not None and socket is not None:
                raise click.UsageError("--via cannot be combined with --data, --port or --control.")

            def open_api() -> AbstractContextManager[ApiCall]:
                if socket is not None:
                    return daemon_api(socket)
                found = find_running_node(network_keys) if via is None else None
                if found is not None:
                    return daemon_api(_announced(found))
                return _client_api(via, network_keys, ownership)

            return function(open_api=open_api, **options)

        return command

    return decorate


def find_running_node(network_keys: Sequence[bytes] = ()) -> Path | None:
    """Return the control socket of a node that this user runs with a default data directory.

    This is the one on port 8001, or the only one; None if there is none. With network keys, only
    nodes of these networks count.

    Raises:
        click.UsageError: there are several, and none on port 8001.
    """
    try:
        preferred = default_data_dir(CONTROL_PORT, network_keys) / SOCKET_NAME
    except click.ClickException:  # no home directory
        return None
    if _is_listening(preferred):
        return preferred
    by_port = _running_nodes(network_keys)
    if len(by_port) > 1:
        ports = ", ".join(by_port)
        raise click.UsageError(f"Nodes run on ports {ports}; choose one with --port.")
    return next(iter(by_port.values()), None)


def _running_nodes(network_keys: Sequence[bytes] = ()) -> dict[str, Path]:
    """Return the control sockets of the nodes that this user runs with default data directories,
    by port in order."""
    names = data_dir_patterns(network_keys)
    base = default_data_dir(CONTROL_PORT, network_keys).parent
    sockets = [path for name in names for path in base.glob(f"{name}/{SOCKET_NAME}")]
    # While keys are exchanged, a link leads to the same node.
    by_port = {path.parent.name.split("-")[0]: path for path in sockets if _is_listening(path)}
    return dict(sorted(by_port.items()))


def _is_listening(socket: Path) -> bool:
    """Return whether a node of this user listens; not if it was killed and left its socket."""
    try:
        ControlClient(socket).close()
    except KademluaError:
        return False
    return True


def _announced(socket: Path) -> Path:
    """Tell the user which node acts, if its choice was automatic."""
    port = socket.parent.name.split("-")[0]
    click.echo(f"using the node on port {port}", err=True)
    return socket


@contextmanager
def daemon_api(socket: Path) -> Iterator[ApiCall]:
    """Open the API of the node at a control socket; ControlError if none runs there."""
    with connect(socket) as control_client:
        yield _DaemonCall(control_client)


@contextmanager
def _client_api(
    via: Endpoint | None, network_keys: Sequence[bytes], ownership: Ownership
) -> Iterator[ApiCall]:
    """Open the API of an ephemeral client; it bootstraps from ``via``, by default port 8001."""
    identity = None
    if ownership is not Ownership.NONE:
        try:
            identity = client_identity()
        except NoIdentity as error:
            if ownership is Ownership.REQUIRED:
                raise click.ClickException(
                    f"only its owner changes a value; start a node, or: {error.message}"
                ) from None
            click.echo(f"this value cannot be changed later: {error.message}", err=True)
    with ephemeral_node(via, network_keys, identity) as node:
        yield LocalCall(NodeApi(node))
