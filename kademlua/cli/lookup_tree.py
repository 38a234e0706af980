"""The tree that ``kademlua lookup --trace`` draws."""

from __future__ import annotations

from typing import Any

from kademlua.cli.output import address_text
from kademlua.terminal.text import plural

_ID_DIGITS = 10
"""Hex digits shown of an id."""


def print_lookup(found: dict[str, Any]) -> None:
    """Print a result of the ``lookup`` operation."""
    from kademlua.terminal.console import print_tree  # here, because it imports rich

    trace, queries = found["trace"], found["trace"]["queries"]
    ranks = {node["id"]: place for place, node in enumerate(found["contacts"], 1)}
    children: dict[str | None, list[dict[str, Any]]] = {}
    for query in queries:
        children.setdefault(query["responder"], []).append(query)
    hops = next((each["hop"] for each in queries if ranks.get(each["id"]) == 1), 0)
    print_tree(
        f"lookup of {found['key'][:_ID_DIGITS]} by {address_text(trace['node'])}:"
        f" {_ms(trace['seconds'])}, {plural(len(queries), 'query', 'queries')},"
        f" {plural(hops, 'hop')} to the closest, {len(ranks)} found",
        children.get(None, []),
        lambda query: children.get(query["id"], []),
        lambda query: _label(query, ranks.get(query["id"]), trace["seconds"]),
    )


def _label(query: dict[str, Any], rank: int | None, lookup_seconds: float) -> str:
    prefix = f"{query['id'][:_ID_DIGITS]}  {address_text(query)}  +{_ms(query['queried'])}"
    if query["outcome"] == "left":
        return f"{prefix}  no reply in {_ms(lookup_seconds - query['queried'])}"
    duration = _ms(query["ended"] - query["queried"])
    if query["outcome"] == "failed":
        return f"{prefix}  failed after {duration}"
    rank_text = f"  #{rank}" if rank is not None else ""
    new_count = f", {query['new']} new" if query["new"] else ""
    contact_counts = f"returned {query['reported']}{new_count}"
    return f"{prefix} → +{_ms(query['ended'])}  took {duration}, {contact_counts}{rank_text}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
