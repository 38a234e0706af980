"""``kademlua publish``, ``unpublish``, ``remove``, ``published``, ``stored``: what a running node
keeps, for itself and for others."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import click

from kademlua.cli.connect import connect, connect_quiet, daemon_options
from kademlua.cli.options import (
    hex_option,
    json_lines_option,
    json_option,
    key_from_text,
    ttl_option,
    value_from_text,
)
from kademlua.cli.output import format_report, print_json, value_summary
from kademlua.core.contact import format_endpoint
from kademlua.core.json_codec import value_from_json, value_to_json


@click.command(short_help="Store a value, and keep it alive.")
@click.argument("key")
@click.argument("value")
@hex_option
@ttl_option
@daemon_options(required=True)
@json_option
def publish(
    key: str, value: str, is_hex: bool, ttl: float | None, socket: Path, as_json: bool
) -> None:
    """Store VALUE under KEY as the value of a running node, by default the one on port 8001. The
    node keeps it alive for as long as it runs, and after a restart, until "kademlua unpublish".

    VALUE is text; - reads it from the standard input, as bytes.

    \b
    Examples:
        kademlua publish greeting "hello world"
        kademlua publish --port 8002 --ttl 30m service "192.0.2.7:80"
    """
    target = key_from_text(key, is_hex=is_hex)
    content = value_to_json(value_from_text(value))
    with connect(socket) as node:
        report = node.call("publish", key=target.hex(), value=content, ttl=ttl)
    if as_json:
        print_json(report)
    else:
        click.echo(format_report(report, "published"))


@click.command(short_help="Let a published value end with its time.")
@click.argument("key")
@hex_option
@daemon_options(required=True)
@json_option
def unpublish(key: str, is_hex: bool, socket: Path, as_json: bool) -> None:
    """Store the value that a running node publishes under KEY no more: it ends with its time to
    live. "kademlua remove" takes it away at once.

    \b
    Example:
        kademlua unpublish greeting
    """
    target = key_from_text(key, is_hex=is_hex)
    with connect(socket) as node:
        reply = node.call("unpublish", key=target.hex())
    if as_json:
        print_json(reply)
    elif not reply["was_published"]:
        raise click.ClickException(f"the node publishes nothing under {key}")


@click.command(short_help="Take a node's own value away.")
@click.argument("key")
@hex_option
@daemon_options(required=True)
@json_option
def remove(key: str, is_hex: bool, socket: Path, as_json: bool) -> None:
    """Take the value of a running node under KEY away from all who hold it; it is not published
    any more, either. Other owners' values stay.

    \b
    Example:
        kademlua remove greeting
    """
    target = key_from_text(key, is_hex=is_hex)
    with connect(socket) as node:
        report = node.call("remove", key=target.hex())
    if as_json:
        print_json(report)
    else:
        click.echo(format_report(report, "removed"))


@click.command(short_help="Show what a node publishes.")
@daemon_options(required=True)
@json_lines_option
def published(socket: Path, as_json: bool) -> None:
    """Show what a running node publishes, by default the one on port 8001: a line for each value,
    with its key and its time to live.

    \b
    Examples:
        kademlua published
        kademlua published --json | jq -r .key
    """
    with connect_quiet(socket) as node:
        for row in node.stream("published"):
            click.echo(_row_json(row) if as_json else _published_text(row))


@click.command(short_help="Show what a node keeps for the network.")
@click.argument("key", required=False)
@hex_option
@daemon_options(required=True)
@json_lines_option
def stored(key: str | None, is_hex: bool, socket: Path, as_json: bool) -> None:
    """Show the values that a running node keeps for the network, by default the one on port 8001;
    with KEY, those of that key. A line for each value: its key, its owner, how long it has to
    live.

    \b
    Examples:
        kademlua stored
        kademlua stored greeting
        kademlua stored --json | jq -r .key | sort | uniq -c
    """
    target = key_from_text(key, is_hex=is_hex).hex() if key is not None else None
    with connect_quiet(socket) as node:
        rows = node.stream("stored", key=target)
        first = next(rows, None)
        for row in chain([] if first is None else [first], rows):
            click.echo(_row_json(row) if as_json else _stored_text(row))
    if first is None and key is not None:
        raise click.ClickException(f"the node keeps nothing of {key}")


def _row_json(row: dict[str, Any]) -> str:
    return json.dumps(row)


def _published_text(row: dict[str, Any]) -> str:
    return f"{row['key']}  {row['ttl']:>8.0f} s  {value_summary(value_from_json(row['value']))}"


def _stored_text(row: dict[str, Any]) -> str:
    owner = format_endpoint((row["owner"]["address"], row["owner"]["port"]))
    value = value_summary(value_from_json(row["value"]))
    return f"{row['key']}  {owner:21}  {row['remaining_seconds']:>8.0f} s  {value}"
