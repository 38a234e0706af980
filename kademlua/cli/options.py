"""Argument types and options that several commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from kademlua.cli.key_file_input import load_key
from kademlua.core import ids
from kademlua.core.contact import Endpoint, parse_endpoint
from kademlua.core.durations import parse_duration
from kademlua.core.errors import KeyFileError
from kademlua.core.security.network_key import MAX_KEYS
from kademlua.core.values.records import PUBLIC_KEY_BYTES
from kademlua.crypto.key_files import KeyKind

FILE = click.Path(dir_okay=False, path_type=Path)
DIRECTORY = click.Path(file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

CONTROL_PORT = 8001
"""The conventional port of the first node on a machine."""


_R = TypeVar("_R")


def parameter(parse: Callable[[str], _R]) -> Callable[[str], _R]:
    """Make a function that raises ValueError usable as the type of a parameter."""

    @functools.wraps(parse)
    def convert(text: str) -> _R:
        try:
            return parse(text)
        except ValueError as error:  # click would show the text, not the reason
            raise click.BadParameter(str(error)) from None

    return convert


@parameter
def endpoint(text: str) -> Endpoint:
    """Parse ``HOST:PORT``, or ``HOST`` for the port 8001."""
    return parse_endpoint(text, CONTROL_PORT)


node_id = parameter(ids.from_hex)


def record_key(what: str) -> Callable[[str], bytes]:
    """Return the type of a parameter that names a record: 40 hex digits, or a public key of 64."""

    @parameter
    def parse(text: str) -> bytes:
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(text) != 2 * len(key) or len(key) not in (ids.ID_BYTES, PUBLIC_KEY_BYTES):
            raise ValueError(
                f"the key of {what} has 40 hex digits, a public key 64, not {text[:70]!r}"
            )
        return key

    return parse


@parameter
def seconds(text: str) -> float:
    """Parse a duration: seconds, or text such as ``90s`` or ``12h``."""
    return parse_duration(float(text) if text.replace(".", "", 1).isdigit() else text)


@parameter
def port_number(text: str) -> int:
    """Parse a UDP port, 0 to 65535."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise ValueError(f"a port is a number from 0 to 65535, not {text[:60]!r}")
    return int(text)


class Key(NamedTuple):
    """The argument KEY of a command."""

    text: str
    """The key as typed."""
    hex: str
    """The 40 hex digits of its id: the SHA-1 of the text, or with ``--hex`` the text."""

    @property
    def fields(self) -> dict[str, str]:
        """The fields that name the key in an operation of a node."""
        try:
            self.text.encode()
        except UnicodeEncodeError:  # an argument that is not UTF-8
            return {"key": self.hex}
        is_hex = self.text.lower() == self.hex
        return {"key": self.hex} if is_hex else {"key": self.hex, "text": self.text}


_hex_option = click.option(
    "--hex", "is_hex", is_flag=True, help="KEY is an id of 40 hex digits; do not hash it."
)


def key_argument(
    *, required: bool = True, passes_hex: bool = False
) -> Callable[[Callable[..., _R]], Callable[..., _R]]:
    """Add the argument ``KEY`` and the option ``--hex``.

    The command receives ``key``: a Key, or None without the argument; with ``passes_hex``
    also ``is_hex``.
    """

    def decorate(function: Callable[..., _R]) -> Callable[..., _R]:
        @click.argument("key", required=required)
        @_hex_option
        @functools.wraps(function)
        def command(*, key: str | None, is_hex: bool, **options: Any) -> _R:
            if passes_hex:
                options["is_hex"] = is_hex
            return function(key=None if key is None else parse_key(key, is_hex=is_hex), **options)

        return command

    return decorate


def keys_argument(
    function: Callable[..., _R], *, required: bool = True, passes_hex: bool = False
) -> Callable[..., _R]:
    """Add the argument ``KEY...``, one key or more if ``required``, and the option ``--hex``.

    The command receives ``keys``, a list of Key; with ``passes_hex`` also ``is_hex``.
    """

    @click.argument("keys", nargs=-1, required=required, metavar="KEY...")
    @_hex_option
    @functools.wraps(function)
    def command(*, keys: tuple[str, ...], is_hex: bool, **options: Any) -> _R:
        if passes_hex:
            options["is_hex"] = is_hex
        return function(keys=[parse_key(key, is_hex=is_hex) for key in keys], **options)

    return command


def parse_key(text: str, *, is_hex: bool) -> Key:
    """Return the key of a text; click.BadParameter if it is empty, or no id with ``is_hex``."""
    if not text:
        raise click.BadParameter("a key must not be empty", param_hint="'KEY'")
    try:
        return Key(text, (ids.from_hex(text) if is_hex else ids.sha1(os.fsencode(text))).hex())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'KEY'") from None


def _network_keys(
    context: click.Context, option: click.Parameter, paths: tuple[Path, ...]
) -> tuple[bytes, ...]:
    """Read the keys from the files of ``--network-key``, in their order."""
    # The completion of a shell asks for no passphrase.
    return () if context.resilient_parsing else load_network_keys(paths)


def load_network_keys(paths: tuple[Path, ...]) -> tuple[bytes, ...]:
    """Return the keys in some files, in their order.

    Raises:
        click.BadParameter: A file cannot be used, or there are too many.
    """
    if len(paths) > MAX_KEYS:
        raise click.BadParameter(f"{len(paths)} network keys given; the maximum is {MAX_KEYS}")
    try:
        return tuple(load_key(path, KeyKind.NETWORK) for path in paths)
    except KeyFileError as error:
        raise click.BadParameter(str(error)) from None


network_key_option = click.option(
    "--network-key",
    "network_keys",
    type=ANY_PATH,
    metavar="FILE",
    multiple=True,
    callback=_network_keys,
    help="Key of a private network, made by keygen --network; packets without it are dropped. May"
    " be repeated: all keys are accepted, and the first one is used to send.",
)
via_option = click.option(
    "--via",
    type=endpoint,
    metavar="HOST[:PORT]",
    help=f"The node to bootstrap from.  [default: 127.0.0.1:{CONTROL_PORT}]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one line per value."
)
ttl_option = click.option(
    "--ttl",
    type=seconds,
    metavar="TIME",
    help="Time to live: seconds, or a duration like 90s, 12h, 7d; at most 30d.  [default: 24h]",
)
