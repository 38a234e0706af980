"""Shows one lookup of a trace as a tree: each query below the reply that named its contact."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kademlua.core.errors import KademluaError

_OPERATION_MARK = '"operation":'
_LOOKUP_RPCS = ("findnode", "findvalue")


class TraceError(KademluaError):
    """The file is not a trace, or does not contain the lookup."""


@dataclass(slots=True)
class TracedQuery:
    """One query of a lookup; times are seconds since the lookup began."""

    address: str
    send_times: set[float] = field(default_factory=set)
    """The times of all transmissions."""
    status: str = "no reply"
    replied_at: float | None = None
    contacts: list[str] = field(default_factory=list)
    value_count: int = 0
    parent: str = ""
    """The address of the node that first returned this contact; empty: the routing table."""

    @property
    def sent_at(self) -> float:
        """The time of the first transmission."""
        return min(self.send_times)

    def record_transmission(self, sent_at: float, fate: str) -> None:
        """Record a packet with the query, and what became of it."""
        self.send_times.add(sent_at)  # a duplicate by the network has the same time
        if fate != "delivered":
            self.status = f"query lost ({fate})"
        elif self.replied_at is None:
            self.status = "no reply"

    def record_reply(self, replied_at: float, entry: dict[str, Any]) -> None:
        """Record a packet with the reply; ``entry`` is its line of the trace."""
        if entry["fate"] != "delivered":
            self.status = f"reply lost ({entry['fate']})"
        elif self.replied_at is None:
            self.replied_at = replied_at
            self.contacts = entry.get("closest", [])
            self.value_count = entry.get("values", 0)


@dataclass(slots=True)
class TracedOperation:
    """The start and end of an operation in a trace."""

    number: int
    kind: str
    node: str
    key: str
    started_at: float
    seeds: list[str]
    """Addresses of the contacts from the node's own routing table."""
    ended_at: float | None = None
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The duration in seconds; -1 if the operation did not end."""
        return -1.0 if self.ended_at is None else self.ended_at - self.started_at


def read_operations(path: Path) -> dict[int, TracedOperation]:
    """Return all operations in a trace, by number."""
    found: dict[int, TracedOperation] = {}
    for entry in _read_entries(path, _OPERATION_MARK):
        number, time = entry["operation"], float(entry["t"])
        if number in found:
            found[number].ended_at, found[number].outcome = time, entry
        else:
            texts = entry["kind"], entry["node"], entry["key"]
            found[number] = TracedOperation(number, *texts, time, entry["seeds"])
    return found


def select_operation(path: Path, number: int | None) -> tuple[TracedOperation, int]:
    """Return the operation with this number, or the slowest; and the count of operations."""
    found = read_operations(path)
    if not found:
        raise TraceError(f"{path}: the trace contains no lookup")
    if number is None:
        return max(found.values(), key=lambda each: each.seconds), len(found)
    if number not in found:
        raise TraceError(f"{path}: no lookup {number}; choose {min(found)} to {max(found)}")
    return found[number], len(found)


def read_queries(path: Path, operation: TracedOperation) -> list[TracedQuery]:
    """Return the queries of a lookup in the order of their first transmission."""
    by_rpc: dict[str, TracedQuery] = {}
    start = operation.started_at
    for entry in _read_entries(path, operation.node):
        if "operation" in entry or entry["sent"] > (operation.ended_at or math.inf):
            continue
        if _is_query(entry, operation):
            query = by_rpc.setdefault(entry["rpc"], TracedQuery(entry["to"]))
            query.record_transmission(entry["sent"] - start, entry["fate"])
        elif entry.get("rpc") in by_rpc and entry["from"] != operation.node:
            by_rpc[entry["rpc"]].record_reply(entry["t"] - start, entry)
    queries = sorted(by_rpc.values(), key=lambda each: each.sent_at)
    _find_parents(queries, operation.seeds)
    return queries


def _is_query(entry: dict[str, Any], operation: TracedOperation) -> bool:
    return (
        entry["from"] == operation.node
        and entry.get("name") in _LOOKUP_RPCS
        and entry.get("key") == operation.key
        and entry["sent"] >= operation.started_at
    )


def _find_parents(ordered: list[TracedQuery], seeds: list[str]) -> None:
    """Set each query's parent: the first node that returned the contact before the query."""
    by_address = {query.address: query for query in reversed(ordered) if query.address not in seeds}
    replies = [(each.replied_at, each) for each in ordered if each.replied_at is not None]
    for replied_at, source in sorted(replies, key=lambda reply: reply[0]):
        for name in source.contacts:
            query = by_address.get(name)
            if query is not None and not query.parent and replied_at <= query.sent_at + 1e-6:
                query.parent = source.address


def print_operation(path: Path, number: int | None) -> None:
    """Print the lookup with this number, or the slowest.

    Raises:
        TraceError: the file is not a trace, or does not contain the lookup.
        OSError: the file cannot be read.
    """
    from kademlua.terminal.console import make_console, print_tree  # here: it imports rich

    try:
        operation, count = select_operation(path, number)
        queries = read_queries(path, operation)
    except (KeyError, TypeError, ValueError):
        raise TraceError(f"{path}: not a trace of kademlua simulate") from None
    children: dict[str, list[TracedQuery]] = {}
    for query in queries:
        children.setdefault(query.parent, []).append(query)
    # Popped, so that a node queried twice has its children shown once.
    print_tree(
        _heading(operation, len(queries)),
        children.pop("", []),
        lambda query: children.pop(query.address, []),
        _label,
    )
    if number is None and count > 1:
        note = f"This is the slowest of {count:,} lookups; use --lookup N for another."
        make_console().print(note)


def _heading(operation: TracedOperation, count: int) -> str:
    outcome = operation.outcome
    words = [
        f"{operation.seconds:.3f} s" if operation.ended_at is not None else "unfinished",
        f"{count} queries",
        f"{outcome['hops']} hops" if outcome.get("hops") else "",
        f"recall {100 * outcome['recall']:.0f} %" if "recall" in outcome else "",
        str(outcome.get("why", "")),
    ]
    return (
        f"{operation.kind} {operation.number} by {operation.node} of {operation.key}, "
        f"started at {operation.started_at:.3f} s: {', '.join(filter(None, words))}"
    )


def _label(query: TracedQuery) -> str:
    text = f"{query.address}  +{query.sent_at:.3f}"
    if len(query.send_times) > 1:
        text += f" (sent {len(query.send_times)} times)"
    if query.replied_at is None:
        return f"{text}  {query.status}"
    milliseconds = 1000 * (query.replied_at - query.sent_at)
    values = f", {query.value_count} values" if query.value_count else ""
    counts = f"{len(query.contacts)} contacts{values}"
    return f"{text} → +{query.replied_at:.3f}  {milliseconds:.0f} ms, {counts}"


def _read_entries(path: Path, mark: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a trace that contain ``mark``."""
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if mark in line)
