"""The lines of ``--from FILE``: a key and a value each, or only a key."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

import click
import gevent

from kademlua.cli.options import Key, parse_key
from kademlua.core.json_codec import value_from_json

_MAX_LINE_BYTES: Final = 98_304
"""No node accepts a value whose line is longer."""
_BATCH_BYTES: Final = 65_536
"""Bytes of the lines of a batch. In JSON they may take three times as many; a node reads requests
of up to 425 kB."""
_BATCH_LINES: Final = 2_048


class Row(NamedTuple):
    """A line: its key, and the JSON form of its value."""

    key: Key
    value: Any


class MalformedLine(NamedTuple):
    """A line that is left out."""

    number: int
    reason: str


class Batch(NamedTuple):
    """Lines that are sent to a node together."""

    rows: list[Row]
    malformed: list[MalformedLine]
    position: int
    """Bytes of the input up to here."""


def read_batches(file: BinaryIO, *, has_values: bool, is_hex: bool) -> Iterator[Batch]:
    """Read a file to its end; in a thread, so that the greenlets of a node go on.

    Args:
        file: JSON Lines (``{"key": ..., "value": ...}``), or keys and values with a tab in between.
        has_values: Whether a line needs a value; otherwise it is ignored.
        is_hex: Whether keys are ids of 40 hex digits.
    """
    number = position = 0
    lines = _read_lines(file)
    while batch := gevent.get_hub().threadpool.apply(_take_lines, (lines,)):
        rows, malformed = [], []
        for line in batch:
            number += 1
            position += len(line)
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)  # Windows programs write it
            if not line.strip():
                continue
            try:
                rows.append(_parse(line, has_values=has_values, is_hex=is_hex))
            except (ValueError, RecursionError) as error:
                malformed.append(MalformedLine(number, str(error)))
            except click.BadParameter as error:
                malformed.append(MalformedLine(number, error.message))
        yield Batch(rows, malformed, position)


def _read_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, of those that are too long only the beginning."""
    while line := file.readline(_MAX_LINE_BYTES + 1):
        yield line
        while line and not line.endswith(b"\n"):
            line = file.readline(_MAX_LINE_BYTES)


def _take_lines(lines: Iterator[bytes]) -> list[bytes]:
    taken, size = [], 0
    for line in islice(lines, _BATCH_LINES):
        taken.append(line)
        size += len(line)
        if size >= _BATCH_BYTES:
            break
    return taken


def _parse(line: bytes, *, has_values: bool, is_hex: bool) -> Row:
    """Return the key and value of a line.

    Raises:
        ValueError, RecursionError, click.BadParameter: it is malformed.
    """
    if len(line) > _MAX_LINE_BYTES:
        raise ValueError(f"a line has at most {_MAX_LINE_BYTES:,} bytes")
    text = line.decode().rstrip("\r\n")
    if text.startswith("{"):
        return _parse_json(text, has_values=has_values, is_hex=is_hex)
    name, tab, value = text.partition("\t")
    if has_values and not tab:
        raise ValueError("there is no tab between a key and a value")
    return Row(parse_key(name, is_hex=is_hex), value)


def _parse_json(text: str, *, has_values: bool, is_hex: bool) -> Row:
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg}") from None
    name = fields.get("key")
    if not isinstance(name, str):
        raise ValueError("the field 'key' is a text")
    if has_values and "value" not in fields:
        raise ValueError("the field 'value' is missing")
    value = fields.get("value", "")
    value_from_json(value)  # checks it
    return Row(parse_key(name, is_hex=is_hex), value)
