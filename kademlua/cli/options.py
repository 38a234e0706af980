"""What several commands take: types of arguments, and options."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from kademlua.core import ids
from kademlua.core.contact import Endpoint, parse_endpoint
from kademlua.core.durations import parse_duration
from kademlua.core.errors import KeyFileError
from kademlua.core.security.network_key import MAX_KEYS
from kademlua.crypto.key_files import read_network_key

CONTROL_PORT = 8001
"""Where the first node of a network on one machine is, by convention."""


def endpoint(text: str) -> Endpoint:
    """``HOST:PORT`` as an option's type; the host may be a name, which is not resolved here."""
    try:
        return parse_endpoint(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def seconds(text: str) -> float:
    """A time as an option's type: seconds, or text such as ``90s``, ``12h``."""
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def node_id(text: str) -> bytes:
    """40 hex digits as an option's type."""
    try:
        return ids.from_hex(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def key_from_text(text: str, *, is_hex: bool) -> bytes:
    """The id of a key as typed: its hash, or with ``--hex`` what the digits say.

    click.BadParameter where they are none.
    """
    if not is_hex:
        return ids.sha1(os.fsencode(text))
    try:
        return ids.from_hex(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'KEY'") from None


def value_from_text(text: str) -> bytes:
    """A value as typed; with ``-`` what comes by the standard input."""
    return sys.stdin.buffer.read() if text == "-" else os.fsencode(text)


def _network_keys(
    context: click.Context, option: click.Parameter, paths: tuple[Path, ...]
) -> tuple[bytes, ...]:
    """The keys in the files that ``--network-key`` names, in their order."""
    if len(paths) > MAX_KEYS:
        raise click.BadParameter(f"{len(paths)} keys are too many; {MAX_KEYS} may be named")
    try:
        return tuple(map(read_network_key, paths))
    except KeyFileError as error:
        raise click.BadParameter(str(error)) from None


network_key_option = click.option(
    "--network-key",
    "network_keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    callback=_network_keys,
    help="Key of a private network, made by keygen --network: nobody is heard without it. May be"
    " given several times; all of them are heard, and the first one is used to send.",
)
via_option = click.option(
    "--via",
    type=endpoint,
    metavar="HOST:PORT",
    help=f"A node of the network to ask.  [default: 127.0.0.1:{CONTROL_PORT}]",
)
hex_option = click.option(
    "--hex", "is_hex", is_flag=True, help="KEY is an id of 40 hex digits, and not hashed."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, a line for each value."
)
ttl_option = click.option(
    "--ttl",
    type=seconds,
    metavar="TIME",
    help="How long it lives: seconds, or like 90s, 30m, 12h, 7d.  [default: 24h]",
)
