"""What the shell shows of a node: its prompt and its routing table."""

from __future__ import annotations

import time

from kademlua.core.contact import format_endpoint
from kademlua.core.ids import ID_BITS
from kademlua.core.routing.bucket import Peer
from kademlua.node.node import Node
from kademlua.terminal.text import Text, memory_kb


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


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _peer_line(peer: Peer, now: float) -> str:
    where = format_endpoint(peer.contact.endpoint)
    trip = f"{peer.smoothed * 1000:.1f} ms" if peer.smoothed >= 0 else ""
    heard = f"{max(now - peer.heard, 0):.0f} s ago"
    return f"  {peer.contact.id.hex()}  {where:21}  {heard:>10}  {trip:>9}".rstrip()
