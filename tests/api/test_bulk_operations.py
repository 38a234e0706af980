"""The operations of the API on many keys."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import sha1
from kademlua.api.fields import BadRequest
from kademlua.api.operations import NodeApi
from tests.support.world import World

KEYS = [sha1(str(number)).hex() for number in range(5)]


def test_add_many_and_find_many(world: World) -> None:
    nodes = world.network(3)
    api = NodeApi(nodes[0])
    rows: list[Any] = [[key, "text"] for key in KEYS] + [[sha1("large").hex(), "x" * 20_000]]
    results = {row["key"]: row for row in api.stream("add_many", {"rows": rows, "ttl": 60})}
    assert all(results[key] == {"key": key, "nodes": 3, "error": None} for key in KEYS)
    assert "15,000 bytes" in results[sha1("large").hex()]["error"]
    missing = sha1("missing").hex()
    found = {row["key"]: row for row in api.stream("find_many", {"keys": [*KEYS, missing]})}
    assert all(found[key]["answers"][0]["values"] == ["text"] for key in KEYS)
    assert found[missing] == {"key": missing, "answers": [], "error": None}


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("add_many", {}, "the field 'rows' is missing"),
        ("add_many", {"rows": 5}, "a list"),
        ("add_many", {"rows": [["x"]]}, "'rows' is a list of pairs"),
        ("add_many", {"rows": [["x", 5]]}, "'rows'"),
        ("add_many", {"rows": [[KEYS[0], None]]}, "'value'"),
        ("add_many", {"rows": [], "ttl": 1e12}, "ttl|TTL"),
        ("find_many", {"keys": [5]}, "'keys'"),
        ("find_many", {"keys": [], "answers": 0}, "'answers'"),
    ],
)
def test_wrong_fields(world: World, name: str, fields: dict[str, Any], error: str) -> None:
    with pytest.raises(BadRequest, match=error):
        list(NodeApi(world.alice).stream(name, fields))
