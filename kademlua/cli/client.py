"""``kademlua add``, ``find``, ``lookup``, ``ping``: short-lived clients of a network.

They ask as read-only nodes, which nobody takes into a routing table.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from kademlua.cli.options import (
    endpoint,
    hex_option,
    json_option,
    key_of,
    network_key_option,
    seconds,
    via_option,
)
from kademlua.cli.session import client, ping_once
from kademlua.cli.values import value_text
from kademlua.core.contact import Contact, Endpoint, format_endpoint
from kademlua.jsonform import contact_json, value_json

_DEFAULT_ANSWERS = 3


@click.command()
@click.argument("key")
@click.argument("value")
@via_option
@network_key_option
@hex_option
@click.option(
    "--ttl",
    type=seconds,
    metavar="TIME",
    help="How long it lives: seconds, or like 90s, 30m, 12h, 7d.  [default: 24h]",
)
@json_option
def add(
    key: str,
    value: str,
    via: Endpoint,
    network_keys: tuple[bytes, ...],
    is_hex: bool,
    ttl: float | None,
    as_json: bool,
) -> None:
    """Store VALUE under KEY, beside the values that others stored there.

    VALUE is text; - reads it from the standard input, as bytes. Write -- before a key or a value
    that begins with a dash.

    \b
    Examples:
        kademlua add greeting "hello world"
        kademlua add --ttl 7d logo - < logo.png
        kademlua add --via 192.0.2.7:8001 temperature -- -5
    """
    target = key_of(key, is_hex=is_hex)
    content = sys.stdin.buffer.read() if value == "-" else os.fsencode(value)
    with client(via, network_keys) as node:
        try:
            report = node.add(target, content, ttl=ttl)
        except ValueError as error:  # too large, or too long a time
            raise click.ClickException(str(error)) from None
    if as_json:
        _print_json(
            {
                "key": target.hex(),
                "stored": [contact_json(each) for each in report.acknowledged],
                "refused": [
                    contact_json(each) | {"reason": reason} for each, reason in report.refused
                ],
                "silent": [contact_json(each) for each in report.silent],
            }
        )
        return
    count = len(report.acknowledged)
    others = [f"{len(report.refused)} refused"] if report.refused else []
    others += [f"{len(report.silent)} did not answer"] if report.silent else []
    click.echo("; ".join([f"stored on {count} node{'s' * (count != 1)}", *others]))


@click.command()
@click.argument("key")
@via_option
@network_key_option
@hex_option
@click.option(
    "--answers",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Be content with the values of N nodes.  [default: {_DEFAULT_ANSWERS}]",
)
@click.option("--all", "ask_all", is_flag=True, help="Ask all nodes that may have values.")
@click.option(
    "--raw", is_flag=True, help="Write the value's bytes as they are; there must be just one."
)
@json_option
def find(
    key: str,
    via: Endpoint,
    network_keys: tuple[bytes, ...],
    is_hex: bool,
    answers: int | None,
    ask_all: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the values of KEY, each once.

    Text is shown as it is, with control characters made visible; bytes that are no UTF-8 as 0x
    and hex digits ({"hex": "..."} in JSON), lists and dictionaries as JSON.

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
    target = key_of(key, is_hex=is_hex)
    with client(via, network_keys) as node:
        wanted = sys.maxsize if ask_all else answers or _DEFAULT_ANSWERS
        found = node.find_value(target, wanted)
    values = _distinct([value for answer in found for value in answer.values])
    if not values:
        raise click.ClickException(f"no value found for {key}")
    if raw:
        _write_raw(values)
    elif as_json:
        _print_json(
            {
                "key": target.hex(),
                "values": [value_json(value) for value in values],
                "answers": [
                    {
                        "node": contact_json(answer.contact),
                        "values": [value_json(value) for value in answer.values],
                    }
                    for answer in found
                ],
            }
        )
    else:
        click.echo("\n".join(map(value_text, values)))


@click.command(short_help="Show the nodes closest to KEY, which keep its values.")
@click.argument("key")
@via_option
@network_key_option
@hex_option
@json_option
def lookup(
    key: str, via: Endpoint, network_keys: tuple[bytes, ...], is_hex: bool, as_json: bool
) -> None:
    """Show the nodes whose ids are closest to KEY, the closest first: those that keep its
    values.

    \b
    Examples:
        kademlua lookup greeting
        kademlua lookup --hex 0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33
    """
    target = key_of(key, is_hex=is_hex)
    with client(via, network_keys) as node:
        contacts = node.find_node(target)
    if not contacts:
        raise click.ClickException(f"no node found near {key}")
    if as_json:
        _print_json({"key": target.hex(), "nodes": [contact_json(each) for each in contacts]})
    else:
        click.echo("\n".join(map(_contact_text, contacts)))


@click.command()
@click.argument("address", metavar="HOST:PORT", type=endpoint)
@network_key_option
@json_option
def ping(address: Endpoint, network_keys: tuple[bytes, ...], as_json: bool) -> None:
    """Ask the node at HOST:PORT whether it is there.

    \b
    Examples:
        kademlua ping 127.0.0.1:8001
        kademlua ping [::1]:8001
    """
    contact, seconds = ping_once(address, network_keys)
    if as_json:
        _print_json(contact_json(contact) | {"seconds": round(seconds, 6)})
    else:
        click.echo(f"{_contact_text(contact)}  {seconds * 1000:.1f} ms")


def _distinct(values: list[Any]) -> list[Any]:
    """The values without repetitions, in their order."""
    found = []
    seen = set()
    for value in values:
        mark = repr(value)  # lists and dictionaries have no hash
        if mark not in seen:
            seen.add(mark)
            found.append(value)
    return found


def _write_raw(values: list[Any]) -> None:
    if len(values) > 1:
        raise click.ClickException(f"there are {len(values)} values, and --raw writes one")
    if not isinstance(values[0], bytes):
        raise click.ClickException("the value is not of bytes; --json shows it")
    click.echo(values[0], nl=False)


def _contact_text(contact: Contact) -> str:
    return f"{contact.id.hex()}  {format_endpoint(contact.endpoint)}"


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value))
