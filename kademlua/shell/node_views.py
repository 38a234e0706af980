"""A node as the shell shows it: the prompt and the routing table."""

from __future__ import annotations

from kademlua.core.contact import format_endpoint
from kademlua.core.ids import ID_BITS
from kademlua.core.routing.bucket import TableEntry
from kademlua.node.node import Node
from kademlua.terminal.text import VerbatimText, plural, resident_kb


def prompt_text(node: Node) -> str:
    """Return the prompt ``20~40 |  496 > ``: contacts, estimated network size, memory in kB."""
    return f"{len(node.table)}~{node.network_size()} | {resident_kb():4} > "


def routing_text(node: Node) -> VerbatimText:
    """Return the routing table as text, farthest bucket first."""
    table = node.table
    now = node.now
    lines = [f"own id {node.id.hex()}, {plural(len(table), 'contact')}"]
    for index, bucket in enumerate(table.buckets):
        number = ID_BITS - 1 - index
        is_last = index == len(table.buckets) - 1
        name = f"buckets {number} to 0" if is_last else f"bucket {number}"
        replacements = f", {len(bucket.replacements)} waiting" if bucket.replacements else ""
        lines.append(f"{name}: {plural(len(bucket.contacts), 'contact')}{replacements}")
        entries = (table.get(contact.id) for contact in bucket.contacts.values())
        lines += [_entry_line(entry, now) for entry in entries if entry is not None]
    return VerbatimText("\n".join(lines))


def _entry_line(entry: TableEntry, now: float) -> str:
    endpoint = format_endpoint(entry.contact.endpoint)
    rtt = f"{entry.rtt.srtt * 1000:.1f} ms" if entry.rtt.srtt >= 0 else ""
    last_seen = f"{max(now - entry.last_seen, 0):.0f} s ago"
    return f"  {entry.contact.id.hex()}  {endpoint:21}  {last_seen:>10}  {rtt:>9}".rstrip()
