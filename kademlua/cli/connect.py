"""Connections of commands to a running node or an ephemeral client."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import click

from kademlua.api.operations import NodeApi
from kademlua.cli.data_dirs import find_data_dir
from kademlua.cli.ephemeral_client import ephemeral_node, exit_on_sigint, show_progress
from kademlua.cli.options import ANY_PATH, CONTROL_PORT, DIRECTORY, network_key_option, via_option
from kademlua.control.client import ControlClient
from kademlua.control.unix_socket import SOCKET_NAME
from kademlua.core.contact import Endpoint

_R = TypeVar("_R")

ApiCall = Callable[..., dict[str, Any]]
"""Calls a ``NodeApi`` operation by its name and fields, locally or remotely."""
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


def daemon_options(*, required: bool) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Add the options that name a running node.

    The command receives the path of its control socket as ``socket``. Without an option, this is
    the socket of the node on port 8001 if ``required``, otherwise None.
    """

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(function)
        def command(
            *, data: Path | None, port: int | None, control: Path | None, **options: Any
        ) -> _R:
            socket = None
            if required or data is not None or port is not None or control is not None:
                socket = control or (data or find_data_dir(port or CONTROL_PORT)) / SOCKET_NAME
            return function(socket=socket, **options)

        for option in reversed(_DAEMON_OPTIONS):
            command = option(command)
        return command

    return decorate


@contextmanager
def connect(socket: Path, *, quiet: bool = False) -> Iterator[ControlClient]:
    """Connect to the node at a control socket, ``quiet`` without progress output.

    Raises:
        ControlError: no node runs there.
    """
    progress = nullcontext() if quiet else show_progress("asking the node")
    with exit_on_sigint(), ControlClient(socket) as client, progress:
        yield client


def api_options(function: Callable[..., _R]) -> Callable[..., _R]:
    """Add the options of an ephemeral client, and those that name a running node.

    The command receives ``open_api``, which opens the API of the node that they select.
    """

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
        open_api = functools.partial(_open_api, via, network_keys, socket)
        return function(open_api=open_api, **options)

    return command


@contextmanager
def _open_api(
    via: Endpoint | None, network_keys: Sequence[bytes], socket: Path | None
) -> Iterator[ApiCall]:
    """Open the API of the running node at ``socket``, or of an ephemeral client.

    The client bootstraps from ``via``, by default the node on port 8001.
    """
    if socket is not None:
        with connect(socket) as control_client:
            yield control_client.call
        return
    with ephemeral_node(via, network_keys) as node:
        operations = NodeApi(node)

        def call(name: str, **fields: Any) -> dict[str, Any]:
            return operations.call(name, {k: v for k, v in fields.items() if v is not None})

        yield call
