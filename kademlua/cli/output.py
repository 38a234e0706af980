"""Output of commands. Stored values come from untrusted peers: escape them."""

from __future__ import annotations

import json
import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import click

from kademlua.cli.options import Key
from kademlua.core.contact import format_endpoint
from kademlua.core.errors import KademluaError
from kademlua.core.json_codec import bytes_to_text, value_to_json
from kademlua.core.text import escape_unprintable
from kademlua.core.wire.replies import REASON_NO_VALUE
from kademlua.terminal.text import to_one_line

logger = logging.getLogger(__name__)

_SUMMARY_CHARS = 60


def echo(text: str) -> None:
    """Write text that contains parts of a node's reply; unprintable characters are escaped."""
    click.echo(escape_unprintable(text, allowed="\n\t"))


def value_text(value: Any) -> str:
    """Return a value as readable text: UTF-8 escaped, other bytes as hex, the rest as JSON."""
    if isinstance(value, bytes):
        return escape_unprintable(bytes_to_text(value), allowed="\n\t")
    return json.dumps(value_to_json(value))


def echo_values(values: Iterable[Any], label: str | None = None) -> None:
    """Write values, each on its line after the ``label``.

    If one of several has several lines, each is indented below a line of its own. No value can
    look like such a line, or like the next value.
    """
    texts = [value_text(value) for value in values]
    is_plain = not any("\n" in text for text in texts)
    if is_plain or (label is None and len(texts) == 1):
        prefix = f"{escape_unprintable(label)}: " if label is not None else ""
        click.echo("\n".join(prefix + text for text in texts))
        return
    for number, text in enumerate(texts, 1):
        name = escape_unprintable(label) if label is not None else "value"
        position = f" ({number} of {len(texts)})" if len(texts) > 1 else ""
        click.echo(f"{name}{position}:\n{textwrap.indent(text, '    ', lambda line: True)}")


def for_each_key(keys: list[Key], run: Callable[[Key], None]) -> None:
    """Run something for each key, and exit with status 1 after the last if it failed for any.

    Raises:
        click.ClickException, KademluaError: it failed for the only key.
    """
    if len(keys) == 1:
        run(keys[0])
        return
    failed = 0
    for key in keys:
        try:
            run(key)
        except (click.ClickException, KademluaError) as error:
            failed += 1
            echo_error(error.message if isinstance(error, click.ClickException) else str(error))
    if failed:
        sys.exit(1)


def echo_error(message: str) -> None:
    """Write an error as one line on standard error."""
    click.echo(f"Error: {to_one_line(message)}", err=True)


def value_summary(value: Any) -> str:
    """Return the first 60 characters of a value, on one line."""
    text = to_one_line(value_text(value))
    return text if len(text) <= _SUMMARY_CHARS else text[: _SUMMARY_CHARS - 2] + " …"


def echo_report(report: dict[str, Any], verb: str, *, as_json: bool) -> None:
    """Write the store report of an API operation, as JSON or as text."""
    if as_json:
        print_json(report)
    else:
        echo(format_report(report, verb))


def format_report(report: dict[str, Any], verb: str) -> str:
    """Return the store report of an API operation as one line.

    Nodes that had nothing to remove are not counted as refusals.
    """
    refused = [each for each in report["refused"] if each["reason"] != REASON_NO_VALUE]
    others = [f"{len(refused)} refused"] if refused else []
    others += [f"{len(report['timed_out'])} timed out"] if report["timed_out"] else []
    return "; ".join([f"{verb} on {count(len(report['acknowledged']), 'node')}", *others])


def count(number: int, noun: str) -> str:
    """Return a number with its noun, as in "1 node" or "1,024 nodes"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def announce(text: str, *, err: bool = False) -> None:
    """Print a line of a program that goes on even if it cannot print, such as a service."""
    try:
        click.echo(text, err=err)
    except OSError as error:  # the reader is gone, or the disk is full
        stream = sys.stderr if err else sys.stdout
        logger.warning("can't write to %s: %s", stream.name, error.strerror)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # Python writes the rest of its buffer at the end
        os.close(null)


def address_text(contact: dict[str, Any]) -> str:
    """Return the address and port of a contact in JSON form."""
    return format_endpoint((contact["address"], contact["port"]))


def print_json(value: Any) -> None:
    """Write a value as a line of JSON, part by part: escaped values are long."""
    json.dump(value, sys.stdout)
    click.echo()


def write_raw(value: Any) -> None:
    """Write a value's bytes unchanged.

    Raises:
        click.ClickException: the value is not a byte string.
    """
    if not isinstance(value, bytes):
        raise click.ClickException("the value is not a byte string; use --json")
    click.echo(value, nl=False)
