"""``kademlua publish``, ``unpublish``, ``published``, ``stored``.

They act through the control socket of a running node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kademlua.cli.connect import OpenApi, connect, daemon_api_options, daemon_options
from kademlua.cli.options import (
    Key,
    json_lines_option,
    json_option,
    key_argument,
    ttl_option,
)
from kademlua.cli.output import address_text, echo, echo_report, print_json, value_summary
from kademlua.cli.secrets import secret_api_option
from kademlua.cli.value_input import value_argument
from kademlua.core.durations import readable_duration
from kademlua.core.json_codec import value_from_json, value_to_json
from kademlua.core.text import escape_unprintable


@click.command(short_help="Store a value, and republish it.")
@key_argument()
@value_argument
@ttl_option
@daemon_api_options
@secret_api_option
@json_option
def publish(*, key: Key, value: bytes, ttl: float | None, open_api: OpenApi, as_json: bool) -> None:
    """Store VALUE under KEY as the value of a running node, by default the one on port 8001. The
    node republishes it, across restarts, until "kademlua unpublish" or "kademlua remove".

    VALUE is text; - reads bytes from standard input, and --file from a file. A value has at most
    15,000 bytes, bencoded.

    \b
    Examples:
        kademlua publish greeting "hello world"
        kademlua publish --port 8002 --ttl 30m service "192.0.2.7:80"
    """
    with open_api() as call:
        report = call("publish", **key.fields, value=value_to_json(value), ttl=ttl)
    echo_report(report, "published", as_json=as_json)


@click.command(short_help="Stop republishing a value.")
@key_argument()
@daemon_api_options
@secret_api_option
@json_option
def unpublish(*, key: Key, open_api: OpenApi, as_json: bool) -> None:
    """Stop republishing the value of a running node under KEY; it expires at its TTL.
    "kademlua remove" removes it immediately.

    \b
    Example:
        kademlua unpublish greeting
    """
    with open_api() as call:
        reply = call("unpublish", **key.fields)
    if as_json:
        print_json(reply)
    elif not reply["was_published"]:
        raise click.ClickException(f"the node publishes no value under {key.text}")


@click.command(short_help="Show the values that a node publishes.")
@daemon_options(required=True)
@json_lines_option
def published(*, socket: Path, as_json: bool) -> None:
    """Show the values that a running node publishes, by default the one on port 8001. Each line
    has the key, the TTL and the value. The key is text if a command named it to this run of the
    node.

    \b
    Examples:
        kademlua published
        kademlua published --json | jq -r .key
    """
    with connect(socket, quiet=True) as node:
        for row in node.stream("published"):
            echo(json.dumps(row) if as_json else _published_text(row))


@click.command(short_help="Show the values that a node stores for the network.")
@key_argument(required=False)
@daemon_options(required=True)
@json_lines_option
def stored(*, key: Key | None, socket: Path, as_json: bool) -> None:
    """Show the values that a running node stores for the network, by default the one on port
    8001; with KEY, only those of that key. Each line has the key, the owner, the time until the
    value expires, and the value. The key is text if a command named it to this run of the node.

    \b
    Examples:
        kademlua stored
        kademlua stored greeting
        kademlua stored --json | jq -r .key | sort | uniq -c
    """
    row = None
    with connect(socket, quiet=True) as node:
        for row in node.stream("stored", **(key.fields if key else {})):
            echo(json.dumps(row) if as_json else _stored_text(row))
    if row is None and key is not None:
        raise click.ClickException(f"the node stores no value of {key.text}")


def _published_text(row: dict[str, Any]) -> str:
    value = value_summary(value_from_json(row["value"]))
    return f"{_key_text(row)}  {readable_duration(row['ttl']):>7}  {value}"


def _stored_text(row: dict[str, Any]) -> str:
    owner, value = address_text(row["owner"]), value_summary(value_from_json(row["value"]))
    remaining = readable_duration(row["remaining_seconds"])
    return f"{_key_text(row)}  {owner:21}  {remaining:>7}  {value}"


def _key_text(row: dict[str, Any]) -> str:
    """Return the text of a key if it is known, as wide as the digits of a key."""
    text = escape_unprintable(row["text"]) if "text" in row else row["key"]
    return f"{text:40}"
