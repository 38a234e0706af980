"""Shows one lookup of a trace as a tree: each query below the reply that named its contact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kademlua.core.errors import KademluaError
from kademlua.terminal.tree import render_tree

_OPERATION_MARK = '"operation":'
_LOOKUP_RPCS = ("findnode", "findvalue")


class TraceError(KademluaError):
    """The file is not a trace, or does not contain the lookup."""


@dataclass(slots=True)
class TracedQuery:
    """One query of a lookup; times are seconds since the lookup began."""

    address: str
    sent_at: float
    """The time of the first transmission."""
    send_times: set[float] = field(default_factory=set)
    """The times of all transmissions."""
    status: str = "no reply"
    replied_at: float | None = None
    contacts: list[str] = field(default_factory=list)
    value_count: int = 0
    parent: str = ""
    """The address of the node that first returned this contact; empty: the routing table."""


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
    """Return all operations in a trace, by number.

    Raises:
        TraceError: the file cannot be read or is not a trace.
    """
    found: dict[int, TracedOperation] = {}
    for line in _read_lines(path):
        if _OPERATION_MARK not in line:
            continue
        entry = _parse(path, line)
        try:
            number = entry["operation"]
            if number not in found:
                found[number] = TracedOperation(
                    number,
                    entry["kind"],
                    entry["node"],
                    entry["key"],
                    float(entry["t"]),
                    entry["seeds"],
                )
            else:
                found[number].ended_at = float(entry["t"])
                found[number].outcome = entry
        except (KeyError, TypeError, ValueError):
            raise TraceError(f"{path}: not a trace of kademlua simulate") from None
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
    for line in _read_lines(path):
        if operation.node not in line or _OPERATION_MARK in line:
            continue
        entry = _parse(path, line)
        if operation.ended_at is not None and entry["sent"] > operation.ended_at:
            continue
        if _is_query(entry, operation):
            query = by_rpc.setdefault(
                entry["rpc"], TracedQuery(entry["to"], entry["sent"] - operation.started_at)
            )
            _record_send(query, entry, operation)
        elif entry.get("rpc") in by_rpc and entry["from"] != operation.node:
            _record_reply(by_rpc[entry["rpc"]], entry, operation)
    ordered = sorted(by_rpc.values(), key=lambda each: each.sent_at)
    _find_parents(ordered, operation.seeds)
    return ordered


def _is_query(entry: dict[str, Any], operation: TracedOperation) -> bool:
    return (
        entry["from"] == operation.node
        and entry.get("name") in _LOOKUP_RPCS
        and entry.get("key") == operation.key
        and entry["sent"] >= operation.started_at
    )


def _record_send(query: TracedQuery, entry: dict[str, Any], operation: TracedOperation) -> None:
    sent_at = entry["sent"] - operation.started_at
    query.sent_at = min(query.sent_at, sent_at)
    query.send_times.add(sent_at)  # a duplicate by the network has the same time
    if entry["outcome"] != "delivered":
        query.status = f"query lost ({entry['outcome']})"
    elif query.replied_at is None:
        query.status = "no reply"


def _record_reply(query: TracedQuery, entry: dict[str, Any], operation: TracedOperation) -> None:
    if entry["outcome"] != "delivered":
        query.status = f"reply lost ({entry['outcome']})"
    elif query.replied_at is None:
        query.replied_at = entry["t"] - operation.started_at
        query.status = "replied"
        query.contacts = entry.get("closest", [])
        query.value_count = entry.get("values", 0)


def _find_parents(ordered: list[TracedQuery], seeds: list[str]) -> None:
    """Set each query's parent: the first node that returned the contact before the query."""
    known = set(seeds)
    by_address = {query.address: query for query in reversed(ordered) if query.address not in known}
    replied = [query for query in ordered if query.replied_at is not None]
    for source in sorted(replied, key=lambda each: each.replied_at or 0.0):
        for name in source.contacts:
            query = by_address.get(name)
            if (
                query is not None
                and not query.parent
                and source.replied_at is not None
                and source.replied_at <= query.sent_at + 1e-6
            ):
                query.parent = source.address


def render(path: Path, number: int | None) -> Iterator[str]:
    """Yield the lines that show the lookup with this number, or the slowest."""
    operation, count = select_operation(path, number)
    traced = read_queries(path, operation)
    yield _heading(operation, len(traced))
    children: dict[str, list[TracedQuery]] = {}
    for query in traced:
        children.setdefault(query.parent, []).append(query)
    # Popped, so that a node queried twice has its children shown once.
    roots = children.pop("", [])
    yield from render_tree(roots, lambda query: children.pop(query.address, []), _label)
    if number is None and count > 1:
        yield f"This is the slowest of {count:,} lookups; use --lookup N for another."


def _heading(operation: TracedOperation, count: int) -> str:
    outcome = operation.outcome
    words = [f"{operation.seconds:.3f} s" if operation.ended_at is not None else "unfinished"]
    words.append(f"{count} queries")
    if outcome.get("hops"):
        words.append(f"{outcome['hops']} hops")
    if "recall" in outcome:
        words.append(f"recall {100 * outcome['recall']:.0f} %")
    if outcome.get("why"):
        words.append(str(outcome["why"]))
    return (
        f"{operation.kind} {operation.number} by {operation.node} of {operation.key}, "
        f"started at {operation.started_at:.3f} s: {', '.join(words)}"
    )


def _label(query: TracedQuery) -> str:
    text = f"{query.address}  +{query.sent_at:.3f}"
    if len(query.send_times) > 1:
        text += f" (sent {len(query.send_times)} times)"
    if query.replied_at is None:
        return f"{text}  {query.status}"
    counts = f"{len(query.contacts)} contacts" + (
        f", {query.value_count} values" if query.value_count else ""
    )
    milliseconds = 1000 * (query.replied_at - query.sent_at)
    return f"{text} → +{query.replied_at:.3f}  {milliseconds:.0f} ms, {counts}"


def _read_lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: not a trace of kademlua simulate") from None


def _parse(path: Path, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or "t" not in entry:
        raise TraceError(f"{path}: not a trace of kademlua simulate")
    return entry
