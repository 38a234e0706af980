"""One lookup of a trace as a tree: who told of whom, when each was asked and answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kademlua.core.errors import KademluaError
from kademlua.terminal.tree import branches

_MARK = '"operation":'
_QUERIES = ("findnode", "findvalue")


class TraceError(KademluaError):
    """A file that is no trace, or has not what is sought."""


@dataclass(slots=True)
class Query:
    """One query of a lookup; times are seconds since the lookup began."""

    to: str
    sent: float
    """The first time; nodes repeat a query that may be lost."""
    times: set[float] = field(default_factory=set)
    fate: str = "no answer"
    answered: float | None = None
    told: list[str] = field(default_factory=list)
    values: int = 0
    parent: str = ""
    """Who told of this node first; empty where the own table did."""


@dataclass(slots=True)
class Told:
    """An operation as the trace tells of it, begun and ended."""

    number: int
    kind: str
    node: str
    key: str
    begun: float
    seeds: list[str]
    """Whom the own table named."""
    ended: float | None = None
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it took; -1 where it did not end."""
        return -1.0 if self.ended is None else self.ended - self.begun


def operations(path: Path) -> dict[int, Told]:
    """All operations in a trace. TraceError where it is none."""
    found: dict[int, Told] = {}
    for line in _lines(path):
        if _MARK not in line:
            continue
        entry = _parse(path, line)
        try:
            number = entry["operation"]
            if number not in found:
                found[number] = Told(
                    number,
                    entry["kind"],
                    entry["node"],
                    entry["key"],
                    float(entry["t"]),
                    entry["seeds"],
                )
            else:
                found[number].ended = float(entry["t"])
                found[number].outcome = entry
        except (KeyError, TypeError, ValueError):
            raise TraceError(f"{path}: no trace of kademlua simulate") from None
    return found


def choose(path: Path, number: int | None) -> tuple[Told, int]:
    """The operation of a number, or else the slowest one; and how many there are."""
    found = operations(path)
    if not found:
        raise TraceError(f"{path}: there is no lookup in it")
    if number is None:
        return max(found.values(), key=lambda each: each.seconds), len(found)
    if number not in found:
        raise TraceError(f"{path}: no lookup {number}; there are {min(found)} to {max(found)}")
    return found[number], len(found)


def queries(path: Path, told: Told) -> list[Query]:
    """The queries of a lookup, in the order in which they were sent."""
    by_rpc: dict[str, Query] = {}
    for line in _lines(path):
        if told.node not in line or _MARK in line:
            continue
        entry = _parse(path, line)
        if told.ended is not None and entry["sent"] > told.ended:
            continue
        if _is_query(entry, told):
            query = by_rpc.setdefault(entry["rpc"], Query(entry["to"], entry["sent"] - told.begun))
            _take_sending(query, entry, told)
        elif entry.get("rpc") in by_rpc and entry["from"] != told.node:
            _take_answer(by_rpc[entry["rpc"]], entry, told)
    ordered = sorted(by_rpc.values(), key=lambda each: each.sent)
    _find_parents(ordered, told.seeds)
    return ordered


def _is_query(entry: dict[str, Any], told: Told) -> bool:
    return (
        entry["from"] == told.node
        and entry.get("name") in _QUERIES
        and entry.get("key") == told.key
        and entry["sent"] >= told.begun
    )


def _take_sending(query: Query, entry: dict[str, Any], told: Told) -> None:
    sent = entry["sent"] - told.begun
    query.sent = min(query.sent, sent)
    query.times.add(sent)  # a copy that the network made was sent no second time
    if entry["fate"] != "delivered":
        query.fate = f"lost on the way there ({entry['fate']})"
    elif query.answered is None:
        query.fate = "no answer"


def _take_answer(query: Query, entry: dict[str, Any], told: Told) -> None:
    if entry["fate"] != "delivered":
        query.fate = f"answer lost ({entry['fate']})"
    elif query.answered is None:
        query.answered = entry["t"] - told.begun
        query.fate = "answered"
        query.told = entry.get("closest", [])
        query.values = entry.get("values", 0)


def _find_parents(ordered: list[Query], seeds: list[str]) -> None:
    """The first to tell of a node, before it was asked, is why it was."""
    known = set(seeds)
    asked = {query.to: query for query in reversed(ordered) if query.to not in known}
    answered = [query for query in ordered if query.answered is not None]
    for teller in sorted(answered, key=lambda each: each.answered or 0.0):
        for name in teller.told:
            query = asked.get(name)
            if (
                query is not None
                and not query.parent
                and teller.answered is not None
                and teller.answered <= query.sent + 1e-6
            ):
                query.parent = teller.to


def tree(path: Path, number: int | None) -> Iterator[str]:
    """The lines that show one lookup: the one of a number, or else the slowest."""
    told, count = choose(path, number)
    asked = queries(path, told)
    yield _heading(told, len(asked))
    children: dict[str, list[Query]] = {}
    for query in asked:
        children.setdefault(query.parent, []).append(query)
    # Popped: whoever is asked twice has one place.
    roots = children.pop("", [])
    yield from branches(roots, lambda query: children.pop(query.to, []), _said)
    if number is None and count > 1:
        yield f"The slowest of {count:,}; --lookup N shows another."


def _heading(told: Told, count: int) -> str:
    outcome = told.outcome
    words = [f"{told.seconds:.3f} s" if told.ended is not None else "not ended"]
    words.append(f"{count} queries")
    if outcome.get("hops"):
        words.append(f"{outcome['hops']} hops")
    if "recall" in outcome:
        words.append(f"recall {100 * outcome['recall']:.0f} %")
    if outcome.get("why"):
        words.append(str(outcome["why"]))
    return (
        f"{told.kind} {told.number} by {told.node} of {told.key}, "
        f"begun at {told.begun:.3f} s: {', '.join(words)}"
    )


def _said(query: Query) -> str:
    when = f"{query.to}  +{query.sent:.3f}"
    if len(query.times) > 1:
        when += f" ({len(query.times)} times)"
    if query.answered is None:
        return f"{when}  {query.fate}"
    told = f"told of {len(query.told)}" + (f", has {query.values} values" if query.values else "")
    took = 1000 * (query.answered - query.sent)
    return f"{when} → +{query.answered:.3f}  {took:.0f} ms, {told}"


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: no trace of kademlua simulate") from None


def _parse(path: Path, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or "t" not in entry:
        raise TraceError(f"{path}: no trace of kademlua simulate")
    return entry
