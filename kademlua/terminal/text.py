"""What the shell and the commands show: text for people, safe on their terminal."""

from __future__ import annotations

import os
import pprint
import shutil
import time
from typing import Any

from kademlua.core.contact import format_endpoint
from kademlua.core.ids import ID_BITS
from kademlua.core.routing.table import Peer
from kademlua.node.node import Node


class Text(str):
    """Text that is shown as it stands, where a ``str`` is shown with its quotes."""

    __slots__ = ()


def printable(text: str, keep: str = "") -> str:
    """``text`` with whatever could steer a terminal made visible, but for those in ``keep``.

    Much of what is shown was written by strangers.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _visible(c) for c in text)


def _visible(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """``text`` as one printable line."""
    return printable(" ".join(text.split()))


def pretty(value: Any, width: int | None = None) -> str:
    """A value of the shell as text, over as many lines as it needs; ``width`` is that of the
    terminal, by default of this process's own."""
    if isinstance(value, Text):
        return value
    columns = width or shutil.get_terminal_size((100, 24)).columns
    return pprint.pformat(value, width=max(columns - 1, 40), sort_dicts=False)


def memory_kb() -> int:
    """Memory that this process holds, in kB; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except (OSError, ValueError):  # no Linux
        return 0


def prompt(node: Node) -> str:
    """``20~40 |  496 > ``: contacts in the table, estimated nodes of the network, kB."""
    return f"{len(node.table)}~{node.network_size()} | {memory_kb():4} > "


def routing_text(node: Node) -> Text:
    """The routing table of a node: its buckets, the far ones first, and who is in them."""
    table = node.table
    now = time.monotonic()
    lines = [f"own id {node.id.hex()}, {_counted(len(table), 'contact')}"]
    for index, bucket in enumerate(table.buckets):
        number = ID_BITS - 1 - index
        is_last = index == len(table.buckets) - 1
        name = f"buckets {number} to 0" if is_last else f"bucket {number}"
        waiting = f", {len(bucket.replacements)} waiting" if bucket.replacements else ""
        lines.append(f"{name}: {_counted(len(bucket.contacts), 'contact')}{waiting}")
        for contact in bucket.contacts.values():
            peer = table.get(contact.id)
            lines.append(_peer_line(peer, now) if peer is not None else f"  {contact}")
    return Text("\n".join(lines))


def _peer_line(peer: Peer, now: float) -> str:
    where = format_endpoint(peer.contact.endpoint)
    trip = f"{peer.smoothed * 1000:.1f} ms" if peer.smoothed >= 0 else ""
    heard = f"{max(now - peer.heard, 0):.0f} s ago"
    return f"  {peer.contact.id.hex()}  {where:21}  {heard:>10}  {trip:>9}".rstrip()


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
