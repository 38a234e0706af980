"""Commands that act through a running node: which one, and how to ask it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from kademlua.api.operations import NodeApi
from kademlua.cli.data_dirs import default_data_dir
from kademlua.cli.ephemeral_client import ephemeral_node, exit_on_sigint, show_progress
from kademlua.cli.options import CONTROL_PORT
from kademlua.control.client import ControlClient
from kademlua.control.unix_socket import SOCKET_NAME
from kademlua.core.contact import Endpoint

_R = TypeVar("_R")

ApiCall = Callable[..., dict[str, Any]]
"""Does an operation by its name and fields: of ``NodeApi``, wherever these are."""

_DAEMON_OPTIONS = [
    click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Act through the running node that has this data directory.",
    ),
    click.option(
        "--port",
        type=click.IntRange(1, 65535),
        metavar="PORT",
        help="The same, by the port that names the directory where --data does not.",
    ),
    click.option(
        "--control",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The same, by its control socket.  [default: control.sock in the directory]",
    ),
]


def daemon_options(*, required: bool) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Options that name a running node; the command gets the path of its control socket as
    ``socket``. Where none of them is given that is the node on port 8001, or else None where
    not ``required``."""

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(function)
        def command(
            *args: Any, data: Path | None, port: int | None, control: Path | None, **options: Any
        ) -> _R:
            socket = None
            if required or data is not None or port is not None or control is not None:
                socket = control or (data or default_data_dir(port or CONTROL_PORT)) / SOCKET_NAME
            return function(*args, socket=socket, **options)

        for option in reversed(_DAEMON_OPTIONS):
            command = option(command)
        return command

    return decorate


@contextmanager
def connect(socket: Path) -> Iterator[ControlClient]:
    """A connection to the node at a control socket; ControlError where none runs."""
    with connect_quiet(socket) as client, show_progress("asking the node"):
        yield client


@contextmanager
def connect_quiet(socket: Path) -> Iterator[ControlClient]:
    """The same for a command that writes as it goes, and shows no progress."""
    with exit_on_sigint(), ControlClient(socket) as client:
        yield client


@contextmanager
def open_api(
    via: Endpoint | None, network_keys: Sequence[bytes], socket: Path | None
) -> Iterator[ApiCall]:
    """Whom to ask: the running node at a control socket, or else a client of our own that joins
    by the node at ``via``, by default that on port 8001."""
    if socket is not None:
        if via is not None:
            raise click.UsageError("--via is for a client, not for a running node.")
        with connect(socket) as control_client:
            yield control_client.call
        return
    with ephemeral_node(via, network_keys) as node:
        operations = NodeApi(node)

        def call(name: str, **fields: Any) -> dict[str, Any]:
            return operations.call(name, {k: v for k, v in fields.items() if v is not None})

        yield call
