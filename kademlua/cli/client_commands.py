"""``kademlua lookup``, ``ping``: what the network looks like from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from kademlua.api.json_form import ping_to_json
from kademlua.cli.addresses import resolve
from kademlua.cli.connect import OpenApi, api_options, connect, daemon_options
from kademlua.cli.ephemeral_client import ping_until_reply
from kademlua.cli.lookup_tree import print_lookup
from kademlua.cli.options import Key, endpoint, json_option, key_argument, network_key_option
from kademlua.cli.output import address_text, echo, print_json
from kademlua.control.client import RequestFailed
from kademlua.core.contact import Endpoint, format_endpoint


@click.command(short_help="Show the nodes closest to KEY.")
@key_argument()
@click.option("--trace", "is_traced", is_flag=True, help="Draw which nodes were queried, and when.")
@api_options()
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
        kademlua lookup --trace --port 8002 greeting    as seen by the node on port 8002
        kademlua lookup --trace --via 127.0.0.1 greeting    as seen by a client
    """
    with open_api() as call:
        found = call("lookup", **key.fields, trace=is_traced or None)
    if not found["contacts"]:
        raise click.ClickException(f"no node found near {key.text}")
    if as_json:
        print_json(found)
    elif is_traced:
        print_lookup(found)
    else:
        echo("\n".join(map(_contact_text, found["contacts"])))


@click.command()
@click.argument("address", metavar="HOST[:PORT]", type=endpoint)
@network_key_option
@daemon_options(required=False)
@json_option
def ping(
    *, address: Endpoint, network_keys: tuple[bytes, ...], socket: Path | None, as_json: bool
) -> None:
    """Ping the node at HOST:PORT, and show its id and the round trip in milliseconds. The default
    PORT is 8001.

    \b
    Examples:
        kademlua ping 127.0.0.1
        kademlua ping dht.example.org:8002
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
