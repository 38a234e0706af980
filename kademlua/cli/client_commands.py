"""``kademlua add``, ``find``, ``lookup``, ``ping``: operations on a network.

A short-lived read-only client asks the network; peers do not add it to their routing tables.
With ``--port``, ``--data`` or ``--control`` a running node acts instead.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kademlua.api.json_form import ping_to_json
from kademlua.cli.addresses import resolve
from kademlua.cli.connect import connect, daemon_options, open_api
from kademlua.cli.ephemeral_client import ping_until_reply
from kademlua.cli.lookup_tree import lookup_tree
from kademlua.cli.options import (
    endpoint,
    hex_option,
    json_option,
    key_from_text,
    network_key_option,
    ttl_option,
    value_from_text,
    via_option,
)
from kademlua.cli.output import format_report, print_json, value_text, write_raw
from kademlua.control.client import RequestFailed
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.json_codec import value_from_json, value_to_json

_DEFAULT_MAX_NODES = 3


@click.command()
@click.argument("key")
@click.argument("value")
@via_option
@network_key_option
@hex_option
@ttl_option
@daemon_options(required=False)
@json_option
def add(
    key: str,
    value: str,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    is_hex: bool,
    ttl: float | None,
    socket: Path | None,
    as_json: bool,
) -> None:
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
    target = key_from_text(key, is_hex=is_hex)
    content = value_to_json(value_from_text(value))
    with open_api(via, network_keys, socket) as call:
        report = call("add", key=target.hex(), value=content, ttl=ttl)
    if as_json:
        print_json(report)
    else:
        click.echo(format_report(report, "stored"))


@click.command()
@click.argument("key")
@via_option
@network_key_option
@hex_option
@click.option(
    "--answers",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Stop after N nodes returned values, at least 1.  [default: {_DEFAULT_MAX_NODES}]",
)
@click.option("--all", "ask_all", is_flag=True, help="Ask all nodes that may hold values.")
@click.option(
    "--raw", is_flag=True, help="Write the value's bytes unchanged; there must be exactly one."
)
@daemon_options(required=False)
@json_option
def find(
    key: str,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    is_hex: bool,
    answers: int | None,
    ask_all: bool,
    raw: bool,
    socket: Path | None,
    as_json: bool,
) -> None:
    """Show the distinct values of KEY.

    UTF-8 text is shown with control characters escaped, other bytes as 0x and hex digits
    ({"hex": "..."} in JSON), lists and dictionaries as JSON.

    \b
    Examples:
        kademlua find greeting
        kademlua find --raw logo > logo.png
        kademlua find --all --json greeting     which node has which values
    """
    if ask_all and answers is not None:
        raise click.UsageError("--all and --answers exclude each other.")
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    target = key_from_text(key, is_hex=is_hex)
    max_nodes = sys.maxsize if ask_all else answers or _DEFAULT_MAX_NODES
    with open_api(via, network_keys, socket) as call:
        results = call("find", key=target.hex(), answers=max_nodes)["answers"]
    for result in results:
        result["values"] = list(map(value_from_json, result["values"]))
    values = _unique([value for answer in results for value in answer["values"]])
    if not values:
        raise click.ClickException(f"no value found for {key}")
    if raw:
        if len(values) > 1:
            raise click.ClickException(
                f"{len(values)} values found, but --raw writes one; use --json"
            )
        write_raw(values[0])
    elif as_json:
        for result in results:
            result["values"] = list(map(value_to_json, result["values"]))
        print_json(
            {"key": target.hex(), "values": list(map(value_to_json, values)), "answers": results}
        )
    else:
        click.echo("\n".join(map(value_text, values)))


@click.command(short_help="Show the nodes closest to KEY.")
@click.argument("key")
@via_option
@network_key_option
@hex_option
@click.option("--trace", "is_traced", is_flag=True, help="Draw which nodes were queried, and when.")
@daemon_options(required=False)
@json_option
def lookup(
    key: str,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    is_hex: bool,
    is_traced: bool,
    socket: Path | None,
    as_json: bool,
) -> None:
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
    target = key_from_text(key, is_hex=is_hex)
    with open_api(via, network_keys, socket) as call:
        found = call("lookup", key=target.hex(), trace=is_traced or None)
    if not found["contacts"]:
        raise click.ClickException(f"no node found near {key}")
    if as_json:
        print_json(found)
    elif is_traced:
        click.echo("\n".join(lookup_tree(found)))
    else:
        click.echo("\n".join(map(_contact_text, found["contacts"])))


@click.command()
@click.argument("address", metavar="HOST:PORT", type=endpoint)
@network_key_option
@daemon_options(required=False)
@json_option
def ping(
    address: Endpoint, network_keys: tuple[bytes, ...], socket: Path | None, as_json: bool
) -> None:
    """Ping the node at HOST:PORT, and show its id and the round trip in milliseconds.

    \b
    Examples:
        kademlua ping 127.0.0.1:8001
        kademlua ping [::1]:8001
    """
    reply = (
        _ping_from_daemon(socket, address)
        if socket is not None
        else _ping_from_client(address, network_keys)
    )
    if as_json:
        print_json(reply)
    else:
        click.echo(f"{_contact_text(reply)}  {reply['rtt_seconds'] * 1000:.1f} ms")


def _ping_from_client(address: Endpoint, network_keys: tuple[bytes, ...]) -> dict[str, Any]:
    contact, seconds = ping_until_reply(address, network_keys)
    return dict(ping_to_json(contact, seconds))


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


def _unique(values: list[Any]) -> list[Any]:
    """Return the values without duplicates, in their order."""
    found = []
    seen = set()
    for value in values:
        fingerprint = repr(value)  # lists and dictionaries have no hash
        if fingerprint not in seen:
            seen.add(fingerprint)
            found.append(value)
    return found


def _contact_text(contact: dict[str, Any]) -> str:
    return f"{contact['id']}  {format_endpoint((contact['address'], contact['port']))}"
