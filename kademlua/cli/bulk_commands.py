"""``kademlua add --from FILE`` and ``find --from FILE``: many keys at a time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from kademlua.api.api_call import ApiCall
from kademlua.cli.bulk_input import Batch, read_batches
from kademlua.cli.newest import distinct
from kademlua.cli.output import count, echo, echo_error, echo_values, print_json
from kademlua.cli.progress import open_source, progress, size_of
from kademlua.cli.signals import exit_on_signals
from kademlua.core.json_codec import value_from_json

_SHOWN_ERRORS: Final = 10
"""Errors that are shown one by one; the summary counts all."""

from_option = click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False, allow_dash=True, exists=True, path_type=Path),
    metavar="FILE",
    help="Take the keys from the lines of FILE; - is standard input.",
)


class _Summary:
    """The keys that were processed, and why some failed."""

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed: Counter[str] = Counter()

    def fail(self, name: str, reason: str, category: str | None = None) -> None:
        """Count a failure by its category, by default its reason."""
        if self.failed.total() < _SHOWN_ERRORS:
            echo_error(f"{name}: {reason}")
        self.failed[category or reason] += 1

    def close(self) -> None:
        """Show why keys failed, and exit with status 1 if any did."""
        if not self.failed:
            return
        total = self.failed.total()
        if total > _SHOWN_ERRORS:
            reasons = "; ".join(f"{n:,} × {reason}" for reason, n in self.failed.most_common(5))
            echo_error(f"{count(total, 'line')} failed: {reasons}")
        sys.exit(1)


def add_from(
    call: ApiCall, source: Path, *, ttl: float | None, is_hex: bool, as_json: bool
) -> None:
    """Store the value of each line, and show a summary, also of what an error or ^C ended."""
    summary = _Summary()
    try:
        with exit_on_signals():
            for batch in _batches(source, "storing", summary, has_values=True, is_hex=is_hex):
                _add_batch(call, batch, ttl, summary)
    finally:
        if as_json:
            print_json({"stored": summary.succeeded, "failed": dict(summary.failed)})
        else:
            echo(f"stored {count(summary.succeeded, 'value')}")
    summary.close()


def _add_batch(call: ApiCall, batch: Batch, ttl: float | None, summary: _Summary) -> None:
    names = {row.key.hex: row.key.text for row in batch.rows}
    rows = [[row.key.hex, row.value] for row in batch.rows]
    for result in call.stream("add_many", rows=rows, ttl=ttl):
        if result["error"] is None:
            summary.succeeded += 1
        else:
            summary.fail(names[result["key"]], result["error"])


def find_from(call: ApiCall, source: Path, *, max_nodes: int, is_hex: bool, as_json: bool) -> None:
    """Show the values of the key in each line, in any order."""
    summary = _Summary()
    for batch in _batches(source, "finding", summary, has_values=False, is_hex=is_hex):
        names = {row.key.hex: row.key.text for row in batch.rows}
        for result in call.stream("find_many", keys=list(names), answers=max_nodes):
            _show(result, names[result["key"]], summary, as_json=as_json)
    summary.close()


def _show(result: dict[str, Any], name: str, summary: _Summary, *, as_json: bool) -> None:
    answers = result["answers"]
    values = distinct(answers)
    if not values:
        summary.fail(name, result["error"] or "no value found")
    elif as_json:
        print_json({"key": result["key"], "text": name, "values": values, "answers": answers})
    else:
        echo_values(map(value_from_json, values), name)


def _batches(
    source: Path, label: str, summary: _Summary, *, has_values: bool, is_hex: bool
) -> Iterator[Batch]:
    """Read the file, show the progress, and count malformed lines."""
    with open_source(source) as file, progress(label, size_of(file)) as update:
        for batch in read_batches(file, has_values=has_values, is_hex=is_hex):
            for number, reason in batch.malformed:
                summary.fail(f"line {number:,}", reason, "malformed line")
            if batch.rows:
                yield batch
            update(batch.position)
