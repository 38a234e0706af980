"""What is stored in the network, as text; strangers wrote it. And what became of a store."""

from __future__ import annotations

import json
from typing import Any

import click

from kademlua.core.json_codec import bytes_to_text, value_to_json
from kademlua.terminal.text import escape_unprintable, to_one_line

_SUMMARY_CHARS = 60


def value_text(value: Any) -> str:
    """A value for people: UTF-8 as the text that it is, other bytes as 0x and hex digits,
    the rest as JSON."""
    if isinstance(value, bytes):
        return escape_unprintable(bytes_to_text(value), allowed="\n\t")
    return json.dumps(value_to_json(value))


def value_summary(value: Any) -> str:
    """A value as the beginning of one line."""
    text = to_one_line(value_text(value))
    return text if len(text) <= _SUMMARY_CHARS else text[: _SUMMARY_CHARS - 2] + " …"


def format_report(report: dict[str, Any], verb: str) -> str:
    """What became of a store, as ``Operations`` tells it, in one line."""
    count = len(report["acknowledged"])
    others = [f"{len(report['refused'])} refused"] if report["refused"] else []
    others += [f"{len(report['timed_out'])} did not answer"] if report["timed_out"] else []
    return "; ".join([f"{verb} on {count} node{'s' * (count != 1)}", *others])


def print_json(value: Any) -> None:
    """Write a value as a line of JSON."""
    click.echo(json.dumps(value))


def write_raw(value: Any) -> None:
    """Write a value's bytes as they are; click.ClickException where it is not of bytes."""
    if not isinstance(value, bytes):
        raise click.ClickException("the value is not of bytes; --json shows it")
    click.echo(value, nl=False)
