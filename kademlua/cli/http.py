"""``--http`` and what goes with it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from kademlua.cli.addresses import resolve
from kademlua.core.contact import Endpoint, format_endpoint, parse_endpoint
from kademlua.node.node import Node

if TYPE_CHECKING:
    from kademlua.swarm.event_hub import EventHub


class HttpOptions(NamedTuple):
    """What the options say."""

    listen: Endpoint | None
    token_file: Path | None
    host_names: tuple[str, ...]

    def check(self) -> None:
        """click.UsageError for options that do not go together."""
        if self.listen is None and (self.token_file is not None or self.host_names):
            raise click.UsageError("--http-token and --http-name go with --http.")


def http_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options; it gets them as ``http``, ``http_token`` and ``http_name``."""
    for option in (
        click.option(
            "--http-name",
            metavar="NAME",
            multiple=True,
            help="A host name by which HTTP may be asked, besides localhost and IP addresses;"
            " may be given several times.",
        ),
        click.option(
            "--http-token",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Where the token for HTTP is, made if missing.  [default: http-token in the data"
            " directory; without one, in the user's runtime directory]",
        ),
        click.option(
            "--http",
            type=_listen_endpoint,
            metavar="ADDR:PORT",
            help="Answer HTTP there, too: an API, metrics, events.  [default: do not]",
        ),
    ):
        command = option(command)
    return command


def start_http(
    node: Node,
    options: HttpOptions,
    data_dir: Path | None,
    exit_stack: ExitStack,
    event_hub: EventHub | None = None,
) -> str | None:
    """Begin to answer HTTP beside a node until the end, if that was asked for; ``data_dir`` is
    where the token is kept, if data is kept at all; ``event_hub`` is that of a swarm to be shown,
    too. Returns where it does so, for people.

    One line and the end where that can't be done.
    """
    if options.listen is None:
        return None
    for module in ("falcon", "prometheus_client"):
        if importlib.util.find_spec(module) is None:
            raise click.ClickException(
                f"HTTP takes {module}; pip install 'kademlua[http]' brings it"
            )
    from kademlua.http.bearer_token import TOKEN_FILE_NAME, load_or_create_token, runtime_token_path
    from kademlua.http.service import HttpService

    host, port = options.listen
    address = (resolve(host)[0], port)
    path = options.token_file
    if path is None:
        if data_dir is None:
            path = runtime_token_path(node.contact.port)
            exit_stack.callback(path.unlink, missing_ok=True)
        else:
            path = data_dir / TOKEN_FILE_NAME
    service = HttpService(
        node,
        address,
        load_or_create_token(path),
        host_names=options.host_names,
        event_hub=event_hub,
    )
    try:
        service.start()
    except OSError as error:
        where = format_endpoint(address)
        raise click.ClickException(f"can't listen on {where}: {error.strerror}") from None
    exit_stack.callback(service.close)
    return f"http://{format_endpoint(service.local_endpoint)}/, token in {path}"


def _listen_endpoint(text: str) -> Endpoint:
    """``ADDR:PORT``, of which the port may be 0 for a free one."""
    try:
        if text.endswith(":0"):
            return parse_endpoint(text[:-1] + "1")[0], 0
        return parse_endpoint(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
