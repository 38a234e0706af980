"""A lookup with its trace, as ``kademlua lookup --trace`` draws it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kademlua.core.contact import format_endpoint
from kademlua.terminal.tree import branches

_DIGITS = 10
"""Of an id, as many as tell nodes apart."""


def lookup_tree(found: dict[str, Any]) -> Iterator[str]:
    """The lines that show what the operation ``lookup`` gave, with its trace."""
    trace, queries = found["trace"], found["trace"]["queries"]
    places = {node["id"]: place for place, node in enumerate(found["nodes"], 1)}
    below: dict[str | None, list[dict[str, Any]]] = {}
    for query in queries:
        below.setdefault(query["teller"], []).append(query)
    hops = next((each["hop"] for each in queries if places.get(each["id"]) == 1), 0)
    yield (
        f"lookup of {found['key'][:_DIGITS]} by {_address(trace['node'])}:"
        f" {_ms(trace['seconds'])}, {_counted(len(queries), 'query', 'queries')},"
        f" {_counted(hops, 'hop', 'hops')} to the closest, {len(places)} found"
    )
    yield from branches(
        below.get(None, []),
        lambda query: below.get(query["id"], []),
        lambda query: _said(query, places.get(query["id"]), trace["seconds"]),
    )


def _said(query: dict[str, Any], place: int | None, end: float) -> str:
    began = f"{query['id'][:_DIGITS]}  {_address(query)}  +{_ms(query['asked'])}"
    if query["fate"] == "left":
        return f"{began}  no answer in {_ms(end - query['asked'])}"
    took = _ms(query["ended"] - query["asked"])
    if query["fate"] == "failed":
        return f"{began}  failed after {took}"
    rank = f"  #{place}" if place is not None else ""
    told = f"told of {query['told']}" + (f", {query['new']} new" if query["new"] else "")
    return f"{began} → +{_ms(query['ended'])}  took {took}, {told}{rank}"


def _address(contact: dict[str, Any]) -> str:
    return format_endpoint((contact["address"], contact["port"]))


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
