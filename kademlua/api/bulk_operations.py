"""The operations of ``NodeApi`` on many keys, for the control socket and the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict

from kademlua.api.fields import BadRequest, Fields
from kademlua.api.json_form import answers_to_json
from kademlua.core.results import FindResult, StoreResult
from kademlua.node.node import Node

_DEFAULT_MAX_NODES = 3


class StoreResultJson(TypedDict):
    """The result of storing one of many values."""

    key: str
    nodes: int
    """Nodes that stored it."""
    error: str | None


def store_result_to_json(result: StoreResult) -> StoreResultJson:
    """Return the result of storing one of many values."""
    nodes = 0 if result.report is None else len(result.report.acknowledged)
    error = None if result.error is None else str(result.error)
    return {"key": result.key.hex(), "nodes": nodes, "error": error}


def find_result_to_json(result: FindResult) -> dict[str, Any]:
    """Return the values that each node returned for one of many keys."""
    error = None if result.error is None else str(result.error)
    return {**answers_to_json(result.key, result.answers), "error": error}


class BulkOperations:
    """The operations on many keys."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.streams: dict[str, Callable[[Fields], Iterator[Mapping[str, Any]]]] = {
            "add_many": self._add_many,
            "find_many": self._find_many,
        }

    def _add_many(self, fields: Fields) -> Iterator[StoreResultJson]:
        """``rows`` of a key and a value each, ``ttl`` → rows: a result for each, in any order."""
        rows, ttl = fields.pairs("rows"), fields.seconds("ttl")
        fields.reject_unknown()
        if ttl is not None and not 0 < ttl <= self._node.params.max_ttl:
            raise BadRequest(f"a TTL is 1 s to {self._node.params.max_ttl:,} s")
        self._node.wait_joined()
        return map(store_result_to_json, self._node.add_many(rows, ttl=ttl))

    def _find_many(self, fields: Fields) -> Iterator[Mapping[str, Any]]:
        """``keys``, ``answers`` → rows: what ``find`` returns for each, in any order."""
        keys, max_nodes = fields.keys("keys"), fields.count("answers", _DEFAULT_MAX_NODES)
        fields.reject_unknown()
        self._node.wait_joined()
        return map(find_result_to_json, self._node.find_many(keys, max_nodes))
