"""``kademlua status``, ``peers``, ``stop``: a running node of this machine."""

from __future__ import annotations

import json
import os
import select
from pathlib import Path
from typing import Any

import click

from kademlua.cli.connect import connect, daemon_options
from kademlua.cli.ephemeral_client import show_progress
from kademlua.cli.options import json_lines_option, json_option
from kademlua.cli.output import address_text, count, echo, print_json
from kademlua.control.client import ControlClient

_EXIT_TIMEOUT = 60.0
"""Seconds to wait for the end of a node after its handover."""


@click.command(short_help="Show the state of a running node.")
@daemon_options(required=True)
@json_option
def status(*, socket: Path, as_json: bool) -> None:
    """Show the state of a running node, by default the one on port 8001: its id and address,
    whether it joined and peers can reach it, the numbers of its contacts, of the values that it
    stores and of those it publishes, whether storing these again is late, its data directory,
    version and build.

    The exit status is 1 if no node runs there.

    \b
    Examples:
        kademlua status
        kademlua status --port 8002
        kademlua status --json | jq .contacts
    """
    with connect(socket) as node:
        state = node.call("status")
    if as_json:
        print_json(state)
    else:
        rows = _status_rows(state)
        width = max(len(name) for name, _ in rows)
        echo("\n".join(f"{name:{width}}  {text}" for name, text in rows))


def _status_rows(state: dict[str, Any]) -> list[tuple[str, str]]:
    reachable = {True: "yes", False: "no", None: "not known yet"}[state["reachable"]]
    return [
        ("id", state["id"]),
        ("address", address_text(state)),
        ("joined", "yes" if state["joined"] else "no: no node answers at the bootstrap addresses"),
        ("reachable", reachable),
        ("contacts", f"{state['contacts']:,}"),
        ("values", f"{state['values']:,}"),
        ("published", _published_text(state["published"], state["republish_lag_seconds"])),
        ("network", f"about {count(state['network_size'], 'node')}"),
        ("data", state["data_directory"] or "none: all is in memory"),
        ("process", str(state["process"])),
        ("version", f"{state['version']} ({state['build']})"),
    ]


def _published_text(total: int, lag: float) -> str:
    return f"{total:,}, {lag:,.0f} s late" if lag >= 1 else f"{total:,}"


@click.command(short_help="Show the contacts of a running node.")
@daemon_options(required=True)
@json_lines_option
def peers(*, socket: Path, as_json: bool) -> None:
    """Show the contacts in the routing table of a running node, by default the one on port 8001.
    Each line has the id, the address, the round trip in milliseconds, and the seconds since the
    last packet; - if there was none yet.

    \b
    Examples:
        kademlua peers
        kademlua peers --json | jq -r .address | sort | uniq -c
    """
    with connect(socket) as node:
        contacts = node.call("contacts")["contacts"]
    for each in contacts:
        echo(json.dumps(each) if as_json else _peer_text(each))


def _peer_text(contact: dict[str, Any]) -> str:
    rtt, seen = contact["rtt_seconds"], contact["last_seen_seconds"]
    rtt_text = "-" if rtt is None else f"{rtt * 1000:.1f} ms"
    seen_text = "-" if seen is None else f"{seen:.0f} s"
    return f"{contact['id']}  {address_text(contact):21}  {rtt_text:>10}  {seen_text:>7}"


@click.command(short_help="Stop a running node.")
@daemon_options(required=True, chooses=False)
@json_option
def stop(*, socket: Path, as_json: bool) -> None:
    """Stop a running node, by default the one on port 8001 and no other, and wait until it has
    ended. Like SIGTERM: it first hands over its values to other nodes, and tells its peers.

    \b
    Examples:
        kademlua stop
        kademlua stop --port 8002
    """
    with connect(socket, quiet=True) as node:
        stopping = node.call("stop")
        with show_progress("waiting for the node to hand over its values"):
            _wait_ended(node)
    if as_json:
        print_json(stopping)
    else:
        echo(f"stopped {stopping['id']}  {address_text(stopping)}")


def _wait_ended(node: ControlClient) -> None:
    """Wait for the end of the connection, and of the node's process if the system supports that."""
    process_fd = _open_process(node.pid)
    node.wait_closed(_EXIT_TIMEOUT)
    if process_fd is not None:
        has_ended, _, _ = select.select([process_fd], [], [], _EXIT_TIMEOUT)
        os.close(process_fd)
        if not has_ended:
            raise click.ClickException(f"the node still runs; end it with: kill {node.pid}")


def _open_process(pid: int) -> int | None:
    """Return a descriptor that is readable when a process has ended; None if that fails."""
    if not pid or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended already, or the system forbids it
        return None
