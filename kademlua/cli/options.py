"""Argument types and options that several commands share."""

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
"""The conventional port of the first node on a machine."""


def endpoint(text: str) -> Endpoint:
    """Parse ``HOST:PORT`` without resolving the host name."""
    try:
        return parse_endpoint(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def seconds(text: str) -> float:
    """Parse a duration: seconds, or text such as ``90s`` or ``12h``."""
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def node_id(text: str) -> bytes:
    """Parse a node id of 40 hex digits."""
    try:
        return ids.from_hex(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def key_from_text(text: str, *, is_hex: bool) -> bytes:
    """Return the SHA-1 of a key, or with ``--hex`` the id that its 40 digits denote.

    Raises:
        click.BadParameter: the text is not 40 hex digits.
    """
    if not is_hex:
        return ids.sha1(os.fsencode(text))
    try:
        return ids.from_hex(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'KEY'") from None


def value_from_text(text: str) -> bytes:
    """Return the bytes of a typed value; ``-`` reads standard input."""
    return sys.stdin.buffer.read() if text == "-" else os.fsencode(text)


def _network_keys(
    context: click.Context, option: click.Parameter, paths: tuple[Path, ...]
) -> tuple[bytes, ...]:
    """Read the keys from the files of ``--network-key``, in their order."""
    if len(paths) > MAX_KEYS:
        raise click.BadParameter(f"{len(paths)} network keys given; the maximum is {MAX_KEYS}")
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
    help="Key of a private network, made by keygen --network; packets without it are dropped. May"
    " be repeated: all keys are accepted, and the first one is used to send.",
)
via_option = click.option(
    "--via",
    type=endpoint,
    metavar="HOST:PORT",
    help=f"The node to bootstrap from.  [default: 127.0.0.1:{CONTROL_PORT}]",
)
hex_option = click.option(
    "--hex", "is_hex", is_flag=True, help="KEY is an id of 40 hex digits; do not hash it."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one line per value."
)
ttl_option = click.option(
    "--ttl",
    type=seconds,
    metavar="TIME",
    help="Time to live: seconds, or a duration like 90s, 30m, 12h, 7d.  [default: 24h]",
)
