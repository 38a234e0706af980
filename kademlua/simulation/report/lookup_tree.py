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


@dataclass(frozen=True, slots=True)
class TracedQuery:
    """One query of a lookup; times are seconds since the lookup began."""

    address: str
    send_times: set[float]
    """The times of all transmissions."""
    failure: str
    """What became of the last packet, unless there was a reply."""
    replied_at: float | None
    contacts: list[str]
    value_count: int

    @property
    def sent_at(self) -> float:
        """The time of the first transmission."""
        return min(self.send_times)


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
    end = math.inf if operation.ended_at is None else operation.ended_at
    packets: dict[str, list[dict[str, Any]]] = {}
    for entry in _read_entries(path, operation.node):
        if "rpc" in entry and operation.started_at <= entry["sent"] <= end:
            packets.setdefault(entry["rpc"], []).append(entry)
    queries = [
        _to_query(each, operation)
        for each in packets.values()
        if each[0]["from"] == operation.node
        and each[0].get("name") in _LOOKUP_RPCS
        and each[0].get("key") == operation.key
    ]
    return sorted(queries, key=lambda each: each.sent_at)


def _to_query(packets: list[dict[str, Any]], operation: TracedOperation) -> TracedQuery:
    """Return the query whose packets, in both directions, these are."""
    sent = [each for each in packets if each["from"] == operation.node]
    replies = [each for each in packets if each not in sent and each["outcome"] == "delivered"]
    reply = replies[0] if replies else {}
    last = packets[-1]
    lost = f"{'query' if last in sent else 'reply'} lost ({last['outcome']})"
    return TracedQuery(
        address=sent[0]["to"],
        # A duplicate by the network has the same time.
        send_times={each["sent"] - operation.started_at for each in sent},
        failure="no reply" if last["outcome"] == "delivered" else lost,
        replied_at=reply["t"] - operation.started_at if reply else None,
        contacts=reply.get("closest", []),
        value_count=reply.get("values", 0),
    )


def _by_parent(queries: list[TracedQuery], seeds: list[str]) -> dict[str, list[TracedQuery]]:
    """Group queries by the address of the node that first returned their contact.

    It is empty for contacts from the routing table, and for further queries of the same node.
    """
    replies = [(each.replied_at, each) for each in queries if each.replied_at is not None]
    replies.sort(key=lambda reply: reply[0])
    known = set(seeds)
    found: dict[str, list[TracedQuery]] = {}
    for query in queries:
        sources = (
            source.address
            for replied_at, source in replies
            if query.address in source.contacts and replied_at <= query.sent_at + 1e-6
        )
        parent = "" if query.address in known else next(sources, "")
        known.add(query.address)
        found.setdefault(parent, []).append(query)
    return found


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
        children = _by_parent(queries, operation.seeds)
        title = _heading(operation, len(queries))
    except (KeyError, TypeError, ValueError):
        raise TraceError(f"{path}: not a trace of kademlua simulate") from None
    # Popped, so that a node queried twice has its children shown once.
    roots = children.pop("", [])
    print_tree(title, roots, lambda query: children.pop(query.address, []), _label)
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
        return f"{text}  {query.failure}"
    milliseconds = 1000 * (query.replied_at - query.sent_at)
    values = f", {query.value_count} values" if query.value_count else ""
    counts = f"{len(query.contacts)} contacts{values}"
    return f"{text} → +{query.replied_at:.3f}  {milliseconds:.0f} ms, {counts}"


def _read_entries(path: Path, mark: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of a trace that contain ``mark``."""
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file if mark in line)
