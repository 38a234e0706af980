"""The ``--http`` options, and the HTTP service that they start."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote

import click

from kademlua.cli.addresses import resolve
from kademlua.cli.extras import require_package
from kademlua.cli.options import FILE, parameter
from kademlua.core.contact import Endpoint, format_endpoint, parse_endpoint
from kademlua.node.node import Node

if TYPE_CHECKING:
    from kademlua.swarm.event_hub import EventHub

_R = TypeVar("_R")


class HttpOptions(NamedTuple):
    """The values of the HTTP options."""

    listen: Endpoint | None
    token_file: Path | None
    host_names: tuple[str, ...]


@parameter
def _listen_endpoint(text: str) -> Endpoint:
    """Parse ``ADDR:PORT``; port 0 is any free port."""
    if text.endswith(":0"):
        return parse_endpoint(text[:-1] + "1")[0], 0
    return parse_endpoint(text)


def http_options(function: Callable[..., _R]) -> Callable[..., _R]:
    """Add the options of HTTP; the command receives ``http``, HttpOptions."""

    @click.option(
        "--http",
        type=_listen_endpoint,
        metavar="ADDR:PORT",
        help="Serve HTTP on this address: API, metrics and events.  [default: off]",
    )
    @click.option(
        "--http-token",
        type=FILE,
        metavar="FILE",
        help="File of the HTTP bearer token; created if missing.  [default: http-token in the"
        " data directory, or in the user's runtime directory with --memory]",
    )
    @click.option(
        "--http-name",
        metavar="NAME",
        multiple=True,
        help="A host name to accept in HTTP requests, in addition to localhost and IP"
        " addresses; may be repeated.",
    )
    @functools.wraps(function)
    def command(
        *,
        http: Endpoint | None,
        http_token: Path | None,
        http_name: tuple[str, ...],
        **options: Any,
    ) -> _R:
        if http is None and (http_token is not None or http_name):
            raise click.UsageError("--http-token and --http-name require --http.")
        return function(http=HttpOptions(http, http_token, http_name), **options)

    return command


def start_http(
    node: Node,
    options: HttpOptions,
    data_dir: Path | None,
    exit_stack: ExitStack,
    event_hub: EventHub | None = None,
) -> str | None:
    """Serve HTTP for a node until ``exit_stack`` closes, if ``--http`` was given.

    ``data_dir`` holds the token, or None without a data directory. ``event_hub`` is that of the
    swarm to show. Return a line with the URL and the token's path. The URL has the token in its
    fragment, which browsers do not send, so that the page can use it; not if the user chose the
    token's file, nor in the journal of systemd, which other users may read.

    Raises:
        click.ClickException: a package is missing, or the address is unusable.
    """
    if options.listen is None:
        return None
    for package in ("falcon", "h11", "msgspec", "prometheus_client"):
        require_package(package, "http")
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
    token = load_or_create_token(path)
    service = HttpService(
        node, address, token, host_names=options.host_names, event_hub=event_hub, token_file=path
    )
    try:
        service.start()
    except OSError as error:
        where = format_endpoint(address)
        raise click.ClickException(f"can't listen on {where}: {error.strerror}") from None
    exit_stack.callback(service.close)
    is_shown = options.token_file is None and "JOURNAL_STREAM" not in os.environ
    fragment = f"#token={quote(token)}" if is_shown else ""
    return f"http://{format_endpoint(service.local_endpoint)}/{fragment} (token in {path})"
