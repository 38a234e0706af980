"""``kademlua set``, ``get``, ``add`` and ``find``: values of the network.

A running node of this user acts, so that the values are its own. Without one, a short-lived client
does, which peers do not add to their routing tables; a key of the user proves what it owns.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import click

from kademlua.api.api_call import ApiCall
from kademlua.cli.bulk_commands import add_from, find_from, from_option
from kademlua.cli.connect import OpenApi, Ownership, api_options
from kademlua.cli.newest import distinct, newest
from kademlua.cli.options import (
    Key,
    json_lines_option,
    json_option,
    key_argument,
    keys_argument,
    seconds,
    ttl_option,
)
from kademlua.cli.output import (
    echo_report,
    echo_values,
    for_each_key,
    print_json,
    write_raw,
)
from kademlua.cli.secrets import secret_api_option
from kademlua.cli.value_input import value_argument
from kademlua.core.json_codec import value_from_json, value_to_json

_DEFAULT_MAX_NODES = 3

_raw_option = click.option(
    "--raw", is_flag=True, help="Write the value's bytes unchanged; there must be exactly one."
)


@click.command("set", short_help="Store a value in place of your previous one.")
@key_argument()
@value_argument
@ttl_option
@api_options(Ownership.REQUIRED)
@secret_api_option
@json_option
def set_value(
    *, key: Key, value: bytes, ttl: float | None, open_api: OpenApi, as_json: bool
) -> None:
    """Store VALUE under KEY in place of your previous value. Those of other owners stay.

    VALUE is text; - reads bytes from standard input, and --file from a file. A value has at most
    15,000 bytes, bencoded. Write -- before a key or value that begins with a dash.

    The owner is your running node. Without one it is a key in your data directory, which the first
    use creates. "kademlua publish" lets a node renew a value beyond its TTL.

    \b
    Examples:
        kademlua set greeting "hello world"
        kademlua set --ttl 7d logo --file logo.png
        date | kademlua set now -
        kademlua set --via dht.example.org temperature -- -5
    """
    _store(key, value, ttl, open_api, as_json=as_json)


@click.command(short_help="Store a value, as an owner of the moment if need be.")
@key_argument(required=False, passes_hex=True)
@value_argument
@from_option
@ttl_option
@api_options(Ownership.IF_POSSIBLE)
@secret_api_option
@json_option
def add(
    *,
    key: Key | None,
    value: bytes,
    source: Path | None,
    is_hex: bool,
    ttl: float | None,
    open_api: OpenApi,
    as_json: bool,
) -> None:
    """Store VALUE under KEY, next to the values of other owners, like "kademlua set".

    If there is neither a running node nor a way to prove who you are, the value is stored
    nevertheless; it then cannot be changed or removed before its TTL ends.

    VALUE is text; - reads bytes from standard input, and --file from a file. A value has at most
    15,000 bytes, bencoded. Write -- before a key or value that begins with a dash.

    With --from, each line of FILE is a KEY and a VALUE with a tab in between, or JSON:
    {"key": "greeting", "value": "hello"}.

    \b
    Examples:
        kademlua add greeting "hello world"
        kademlua add --ttl 7d logo - < logo.png
        kademlua add --via 192.0.2.7:8001 temperature -- -5
        kademlua add --port 8002 greeting "hello from the node on port 8002"
        kademlua add --from greetings.tsv
        kademlua add --secret secret.key treasure "under the oak"
    """
    if source is None:
        _store(_required(key), value, ttl, open_api, as_json=as_json)
        return
    if key is not None:
        raise click.UsageError("--from excludes KEY.")
    with open_api() as call:
        add_from(call, source, ttl=ttl, is_hex=is_hex, as_json=as_json)


def _required(key: Key | None) -> Key:
    if key is None:
        raise click.UsageError("Missing argument 'KEY'.")
    return key


def _store(key: Key, value: bytes, ttl: float | None, open_api: OpenApi, *, as_json: bool) -> None:
    with open_api() as call:
        report = call("add", **key.fields, value=value_to_json(value), ttl=ttl)
    echo_report(report, "stored", as_json=as_json)


@click.command(short_help="Show the newest value of each KEY.")
@keys_argument
@_raw_option
@api_options()
@secret_api_option
@json_lines_option
def get(*, keys: list[Key], raw: bool, open_api: OpenApi, as_json: bool) -> None:
    """Show the newest value of each KEY, of any owner: the one that most of the nodes asked
    received last. "kademlua find" shows the values of all owners.

    With several keys, each value follows its key.

    \b
    Examples:
        kademlua get greeting
        kademlua get --raw logo > logo.png
        kademlua get --json greeting motto      one object per key
    """
    _check_raw(keys, raw=raw, as_json=as_json)

    def show(call: ApiCall, key: Key) -> None:
        answers = call("find", **key.fields, answers=_DEFAULT_MAX_NODES)["answers"]
        values = _found(key, answers)
        value = newest(answers)
        if raw:
            write_raw(value_from_json(value))
        elif as_json:
            print_json({"key": key.hex, "value": value, "others": len(values) - 1})
        else:
            echo_values([value_from_json(value)], key.text if len(keys) > 1 else None)
        if len(values) > 1 and not as_json:
            click.echo(f"{len(values) - 1} older or of other owners: see kademlua find", err=True)

    with open_api() as call:
        for_each_key(keys, lambda key: show(call, key))


@click.command(short_help="Show the values of all owners of each KEY.")
@functools.partial(keys_argument, required=False, passes_hex=True)
@from_option
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
@_raw_option
@api_options()
@secret_api_option
@json_lines_option
def find(
    *,
    keys: list[Key],
    source: Path | None,
    is_hex: bool,
    answers: int | None,
    ask_all: bool,
    raw: bool,
    open_api: OpenApi,
    as_json: bool,
    **limits: float | None,
) -> None:
    """Show the distinct values of each KEY.

    UTF-8 text is shown with control characters escaped, other bytes as 0x and hex digits
    ({"hex": "..."} in JSON), lists and dictionaries as JSON. If one of several values has several
    lines, each value is indented below a line with its number.

    \b
    Examples:
        kademlua find greeting
        kademlua find --raw logo > logo.png
        kademlua find --all --json greeting     which node has which values
        kademlua find --max-bytes 100000000 --timeout 50s heavy
        kademlua find --secret secret.key treasure
        kademlua find --from keys.txt           a key in each line; what follows a tab is ignored
    """
    if ask_all and answers is not None:
        raise click.UsageError("--all and --answers exclude each other.")
    _check_raw(keys, raw=raw, as_json=as_json)
    max_nodes = sys.maxsize if ask_all else answers or _DEFAULT_MAX_NODES
    if source is not None:
        if keys or raw or any(each is not None for each in limits.values()):
            raise click.UsageError("--from excludes KEY, --raw, --max-bytes and --timeout.")
        with open_api() as call:
            find_from(call, source, max_nodes=max_nodes, is_hex=is_hex, as_json=as_json)
        return
    _required(keys[0] if keys else None)

    def show(call: ApiCall, key: Key) -> None:
        results = call("find", **key.fields, answers=max_nodes, **limits)["answers"]
        values = _found(key, results)
        if raw:
            if len(values) > 1:
                raise click.ClickException(
                    f"{len(values)} values found, but --raw writes one; use --json"
                )
            write_raw(value_from_json(values[0]))
        elif as_json:
            print_json({"key": key.hex, "values": values, "answers": results})
        else:
            echo_values(map(value_from_json, values), key.text if len(keys) > 1 else None)

    with open_api() as call:
        for_each_key(keys, lambda key: show(call, key))


def _check_raw(keys: list[Key], *, raw: bool, as_json: bool) -> None:
    if raw and as_json:
        raise click.UsageError("--raw and --json exclude each other.")
    if raw and len(keys) > 1:
        raise click.UsageError("--raw writes the value of one KEY.")


def _found(key: Key, answers: list[dict[str, Any]]) -> list[Any]:
    """Return the distinct values in the answers.

    Raises:
        click.ClickException: there is none.
    """
    values = distinct(answers)
    if not values:
        raise click.ClickException(f"no value found for {key.text}")
    return values
