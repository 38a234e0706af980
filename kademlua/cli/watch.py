"""``kademlua watch KEY...``: what changes under keys, until ^C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import gevent
from gevent.queue import Queue

from kademlua.api.json_form import change_to_json
from kademlua.cli.ephemeral_client import ephemeral_node
from kademlua.cli.options import (
    Key,
    json_lines_option,
    keys_argument,
    network_key_option,
    via_option,
)
from kademlua.cli.output import echo, print_json, value_summary
from kademlua.cli.secrets import secret_option
from kademlua.cli.signals import exit_on_signals
from kademlua.core.contact import Endpoint, format_endpoint
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.crypto.secret import Secret
from kademlua.node.watch_iterators import Watch


@click.command(short_help="Show what changes under keys, until ^C.")
@keys_argument
@click.option(
    "--count", type=click.IntRange(1), metavar="N", help="End after N changes.  [default: never]"
)
@via_option
@network_key_option
@secret_option
@json_lines_option
def watch(
    *,
    keys: list[Key],
    count: int | None,
    via: Endpoint | None,
    network_keys: tuple[bytes, ...],
    secret: Secret | None,
    as_json: bool,
) -> None:
    """Show each value that is added under a KEY, replaced, removed, or expires. The values that
    exist come first. ^C ends it.

    A client of its own watches, through the node on port 8001 or that of --via. Each line has the
    key if there are several, what happened, the owner and the value. "-" is an owner that is
    unknown, because no holder of the key speaks 1.1: changes are then seen within 30 s. With a
    secret, only values that were made with it are shown.

    \b
    Examples:
        kademlua watch greeting
        kademlua watch --json config/a config/b | jq -r .value
        kademlua watch --count 1 ready     waits until there is a value
    """
    changes: Queue[tuple[Key, Change]] = Queue()
    with ephemeral_node(via, network_keys) as node, exit_on_signals(interrupt_status=0):
        values = node if secret is None else node.secret(secret)
        for key in keys:
            gevent.spawn(_forward, key, values.watch(bytes.fromhex(key.hex)), changes.put)
        shown = 0
        while count is None or shown < count:
            key, change = changes.get()
            shown += 1
            if as_json:
                print_json({"key": key.hex, **change_to_json(change)})
            else:
                echo(_change_text(change, key.text if len(keys) > 1 else ""))


def _forward(key: Key, watch: Watch, put: Callable[[tuple[Key, Change]], Any]) -> None:
    for change in watch:
        put((key, change))


def _change_text(change: Change, key_text: str) -> str:
    owner = format_endpoint(change.owner.endpoint) if change.owner is not None else "-"
    value = "" if change.kind is ChangeKind.MISSED else value_summary(change.value)
    label = f"{key_text}  " if key_text else ""
    return f"{label}{change.kind:8}  {owner:21}  {value}".rstrip()
