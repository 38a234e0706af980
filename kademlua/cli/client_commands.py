"""``kademlua add``, ``find``, ``lookup``, ``ping``: operations on a network.

A short-lived read-only client asks the network; peers do not add it to their routing tables.
With ``--port``, ``--data`` or ``--control`` a running node acts instead.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import click

from kademlua.api.json_form import ping_to_json
from kademlua.cli.addresses import resolve
from kademlua.cli.connect import OpenApi, api_options, connect, daemon_options
from kademlua.cli.ephemeral_client import ping_until_reply
from kademlua.cli.lookup_tree import print_lookup
from kademlua.cli.options import (
    Key,
    endpoint,
    json_option,
    key_argument,
    network_key_option,
    seconds,
    ttl_option,
    value_from_text,
)
from kademlua.cli.output import address_text, echo, echo_report, print_json, value_text, write_raw
from kademlua.control.client import RequestFailed
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.json_codec import value_from_json, value_to_json

_DEFAULT_MAX_NODES = 3


@click.command()
@key_argument()
@click.argument("value")
@ttl_option
@api_options
@json_option
def add(*, key: Key, value: str, ttl: float | None, open_api: OpenApi, as_json: bool) -> None:
    """Store VALUE under KEY, next to the values of other owners.

    VALUE is text; - reads bytes from standard input. Write -- before a key or value that begins
    with a dash.

    The owner is a client that ends immediately, so the value cannot be changed or removed later.
    With --port or --data, the owner is a running node on this machine.

    \b
    Examples:
        kademlua add greeting "hello world"
        kademlua add --ttl 7d logo - < logo.png
        kademlua add --via 192.0.2.7:8001 temperature -- -5
        kademlua add --port 8001 greeting "hello from this node"
    """
    content = value_to_json(value_from_text(value))
    with open_api() as call:
        report = call("add", key=key.hex, value=content, ttl=ttl)
    echo_report(report, "stored", as_json=as_json)


@click.command()
@key_argument()
@click.option(
    "--answers",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Stop after N nodes returned values, at least 1.  [default: {_DEFAULT_MAX_NODES}]",
)
@click.option("--all", "ask_all", is_flag=True, help="Ask all nodes that may hold values.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Accept at most N bytes of values.  [default: Params.max_find_bytes, 2 MiB]",
)
@click.option(
    "--timeout",
    type=seconds,
    metavar="TIME",
    help="Show what was found after this time.  [default: Params.find_timeout, 10s]",
)
@click.option(
    "--raw", is_flag=True, help="Write the value's bytes unchanged; there must be exactly one."
)
@api_options
@json_option
def find(
    *,
    key: Key,
    answers: int | None,
    ask_all: bool,
    raw: bool,
    open_api: OpenApi,
    as_json: bool,
    **limits: float | None,
) -> None:
    """Show the distinct values of KEY.

    UTF-8 text is shown with control characters escaped, other bytes as 0x and hex digits
    ({"hex": "..."} in JSON), lists and dictionaries as JSON.

    \b
    Examples:
        kademlua find greeting
        kademlua find --raw logo > logo.png
        kademlua find --all --json greeting     which node has which values
        kademlua find --max-bytes 100000000 --timeout 50s heavy
    """
    if ask_all and answers is not None:
        raise click.UsageError("--all and --answers exclude each other.")
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    max_nodes = sys.maxsize if ask_all else answers or _DEFAULT_MAX_NODES
    with open_api() as call:
        results = call("find", key=key.hex, answers=max_nodes, **limits)["answers"]
    # Without duplicates. Digests, since escaped control characters make a value six times as long.
    found = {_digest(value): value for result in results for value in result["values"]}
    values = list(found.values())
    if not values:
        raise click.ClickException(f"no value found for {key.text}")
    if raw:
        if len(values) > 1:
            raise click.ClickException(
                f"{len(values)} values found, but --raw writes one; use --json"
            )
        write_raw(value_from_json(values[0]))
    elif as_json:
        print_json({"key": key.hex, "values": values, "answers": results})
    else:
        for value in values:
            echo(value_text(value_from_json(value)))


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value).encode()).digest()


@click.command(short_help="Show the nodes closest to KEY.")
@key_argument()
@click.option("--trace", "is_traced", is_flag=True, help="Draw which nodes were queried, and when.")
@api_options
@json_option
def lookup(*, key: Key, is_traced: bool, open_api: OpenApi, as_json: bool) -> None:
    """Show the nodes whose ids are closest to KEY, the closest first. They hold its values.

    --trace draws a tree: below each node are the nodes that it was the first to return. The times
    count from the start of the lookup: when a node was queried, and when it replied. #1 is the
    closest node.

    \b
    Examples:
        kademlua lookup greeting
        kademlua lookup --hex 0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33
        kademlua lookup --trace greeting                as seen by a client
        kademlua lookup --trace --port 8001 greeting    as seen by the node on port 8001
    """
    with open_api() as call:
        found = call("lookup", key=key.hex, trace=is_traced or None)
    if not found["contacts"]:
        raise click.ClickException(f"no node found near {key.text}")
    if as_json:
        print_json(found)
    elif is_traced:
        print_lookup(found)
    else:
        echo("\n".join(map(_contact_text, found["contacts"])))


@click.command()
@click.argument("address", metavar="HOST:PORT", type=endpoint)
@network_key_option
@daemon_options(required=False)
@json_option
def ping(
    *, address: Endpoint, network_keys: tuple[bytes, ...], socket: Path | None, as_json: bool
) -> None:
    """Ping the node at HOST:PORT, and show its id and the round trip in milliseconds.

    \b
    Examples:
        kademlua ping 127.0.0.1:8001
        kademlua ping [::1]:8001
    """
    if socket is not None:
        reply = _ping_from_daemon(socket, address)
    else:
        reply = dict(ping_to_json(*ping_until_reply(address, network_keys)))
    if as_json:
        print_json(reply)
    else:
        echo(f"{_contact_text(reply)}  {reply['rtt_seconds'] * 1000:.1f} ms")


def _ping_from_daemon(socket: Path, address: Endpoint) -> dict[str, Any]:
    """Let a running node ping each address once, until one replies."""
    host, port = address
    reason = "no reply"
    with connect(socket) as node:
        for addr in resolve(host):
            try:
                return node.call("ping", address=addr, port=port)
            except RequestFailed as error:
                reason = str(error)
    raise click.ClickException(f"{format_endpoint(address)}: {reason}")


def _contact_text(contact: dict[str, Any]) -> str:
    return f"{contact['id']}  {address_text(contact)}"
