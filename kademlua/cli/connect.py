"""Commands that act through a running node: which one, and how to ask it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from kademlua.api.operations import Operations
from kademlua.cli.data_dirs import directory_of
from kademlua.cli.ephemeral_client import client, gone_at_interrupt, progress
from kademlua.cli.options import CONTROL_PORT
from kademlua.control.client import ControlClient
from kademlua.control.unix_socket import NAME
from kademlua.core.contact import Endpoint

_R = TypeVar("_R")

Ask = Callable[..., dict[str, Any]]
"""Does an operation by its name and fields: of ``Operations``, wherever these are."""

_OPTIONS = [
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


def through_daemon(*, always: bool) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Options that name a running node; the command gets the path of its control socket as
    ``socket``. Where none of them is given that is the node on port 8001, or else None where
    not ``always``."""

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @functools.wraps(function)
        def command(
            *args: Any, data: Path | None, port: int | None, control: Path | None, **options: Any
        ) -> _R:
            socket = None
            if always or data is not None or port is not None or control is not None:
                socket = control or (data or directory_of(port or CONTROL_PORT)) / NAME
            return function(*args, socket=socket, **options)

        for option in reversed(_OPTIONS):
            command = option(command)
        return command

    return decorate


@contextmanager
def daemon(socket: Path) -> Iterator[ControlClient]:
    """A connection to the node at a control socket; ControlError where none runs."""
    with connected(socket) as running, progress("asking the node"):
        yield running


@contextmanager
def connected(socket: Path) -> Iterator[ControlClient]:
    """The same for a command that writes as it goes, and shows no progress."""
    with gone_at_interrupt(), ControlClient(socket) as running:
        yield running


@contextmanager
def asked(
    via: Endpoint | None, network_keys: Sequence[bytes], socket: Path | None
) -> Iterator[Ask]:
    """Whom to ask: the running node at a control socket, or else a client of our own that joins
    by the node at ``via``, by default that on port 8001."""
    if socket is not None:
        if via is not None:
            raise click.UsageError("--via is for a client, not for a running node.")
        with daemon(socket) as running:
            yield running.do
        return
    with client(via, network_keys) as node:
        operations = Operations(node)

        def ask(name: str, **fields: Any) -> dict[str, Any]:
            return operations.do(name, {k: v for k, v in fields.items() if v is not None})

        yield ask
