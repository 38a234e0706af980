"""What is stored in the network, as text and as JSON. Strangers wrote it."""

from __future__ import annotations

import json
from typing import Any

import click

from kademlua.core.contact import Contact
from kademlua.placement import StoreReport
from kademlua.shell.text import printable


def value_text(value: Any) -> str:
    """A value for people: UTF-8 as the text that it is, other bytes as 0x and hex digits,
    the rest as JSON."""
    if isinstance(value, bytes):
        return printable(bytes_text(value), keep="\n\t")
    return json.dumps(value_json(value))


def value_json(value: Any) -> Any:
    """A value for ``json.dumps``: UTF-8 becomes text, other bytes ``{"hex": digits}``."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"hex": value.hex()}
    if isinstance(value, list):
        return [value_json(each) for each in value]
    if isinstance(value, dict):
        return {bytes_text(key): value_json(each) for key, each in value.items()}
    return value


def contact_json(contact: Contact) -> dict[str, Any]:
    """A contact for ``json.dumps``."""
    return {"id": contact.id.hex(), "address": contact.addr, "port": contact.port}


def report_json(report: StoreReport) -> dict[str, Any]:
    """What became of a store, for ``json.dumps``."""
    return {
        "stored": [contact_json(each) for each in report.acknowledged],
        "refused": [contact_json(each) | {"reason": reason} for each, reason in report.refused],
        "silent": [contact_json(each) for each in report.silent],
    }


def report_text(report: StoreReport) -> str:
    """What became of a store, in one line for people."""
    count = len(report.acknowledged)
    others = [f"{len(report.refused)} refused"] if report.refused else []
    others += [f"{len(report.silent)} did not answer"] if report.silent else []
    return "; ".join([f"stored on {count} node{'s' * (count != 1)}", *others])


def print_json(value: Any) -> None:
    """Write a value as a line of JSON."""
    click.echo(json.dumps(value))


def write_raw(value: Any) -> None:
    """Write a value's bytes as they are; click.ClickException where it is not of bytes."""
    if not isinstance(value, bytes):
        raise click.ClickException("the value is not of bytes; --json shows it")
    click.echo(value, nl=False)


def bytes_text(value: bytes) -> str:
    """UTF-8 as text, other bytes as 0x and hex digits."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
