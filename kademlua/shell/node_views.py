"""A node as the shell shows it: the prompt and the routing table."""

from __future__ import annotations

from collections.abc import Iterable

from kademlua.core.contact import Contact, format_endpoint
from kademlua.core.ids import ID_BITS
from kademlua.core.routing.bucket import TableEntry
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.node.node import Node
from kademlua.shell.id_functions import distance_text
from kademlua.terminal.text import VerbatimText, plural, pretty_format, resident_kb


class FoundContacts(list[Contact]):
    """Contacts near an id. The shell shows one per line, with its distance."""

    def __init__(self, contacts: Iterable[Contact], target: bytes) -> None:
        """``target`` is the id to which distances are shown."""
        super().__init__(contacts)
        self._target = target

    def __repr__(self) -> str:
        if not self:
            return "[]"
        return "\n".join(
            f"{each.id.hex()}  {format_endpoint(each.endpoint):21}"
            f"  distance {distance_text(each.id, self._target)}"
            for each in self
        )


def prompt_text(node: Node) -> str:
    """Return the prompt ``20~40 |  496 > ``: contacts, estimated network size, memory in kB."""
    return f"{len(node.table)}~{node.network_size()} | {resident_kb():4} > "


def joined_text(node: Node) -> str:
    """Return whether the node has joined, and with how many contacts."""
    if not node.joined:
        return "not joined yet: no bootstrap node has replied"
    if not len(node.table):
        return "joined without contacts: this is the first node"
    return f"joined with {plural(len(node.table), 'contact')}"


def change_text(change: Change) -> str:
    """Return a change of a watched key; "-" stands for an unknown owner."""
    if change.kind is ChangeKind.MISSED:
        return f"{change.kind}  changes, since they came faster than they were shown"
    owner = "-" if change.owner is None else format_endpoint(change.owner.endpoint)
    return f"{change.kind:8}  {owner:21}  {pretty_format(change.value)}"


def routing_text(node: Node) -> VerbatimText:
    """Return the routing table as text, farthest bucket first.

    Each contact has its id, address, distance to the node, time since its last packet, and
    round-trip time.
    """
    table = node.table
    now = node.now
    lines = [f"own id {node.id.hex()}, {plural(len(table), 'contact')}"]
    for index, bucket in enumerate(table.buckets):
        number = ID_BITS - 1 - index
        is_last = index == len(table.buckets) - 1
        name = f"buckets {number} to 0" if is_last else f"bucket {number}"
        replacements = f", {len(bucket.replacements)} waiting" if bucket.replacements else ""
        lines.append(f"{name}: {plural(len(bucket.contacts), 'contact')}{replacements}")
        entries = (table.get(contact.id) for contact in bucket.contacts)
        lines += [_entry_line(entry, node.id, now) for entry in entries if entry is not None]
    return VerbatimText("\n".join(lines))


def _entry_line(entry: TableEntry, own_id: bytes, now: float) -> str:
    endpoint = format_endpoint(entry.contact.endpoint)
    rtt = f"{entry.rtt.srtt * 1000:.1f} ms" if entry.rtt.srtt >= 0 else ""
    last_seen = f"{max(now - entry.last_seen, 0):.0f} s ago"
    distance = distance_text(entry.contact.id, own_id)
    line = f"  {entry.contact.id.hex()}  {endpoint:21}  {distance}  {last_seen:>10}  {rtt:>9}"
    return line.rstrip()
