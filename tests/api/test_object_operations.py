"""Publishing objects by ``NodeApi``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kademlua import Node
from kademlua.api.fields import BadRequest
from kademlua.api.operations import NodeApi


def test_publish_and_unpublish(make_network: Callable[..., list[Node]], tmp_path: Path) -> None:
    api = NodeApi(make_network(3)[0])
    path = tmp_path / "content"
    path.write_bytes(bytes(range(256)) * 4_000)
    *progress, last = api.stream("publish_object", {"path": str(path), "ttl": 60})
    assert all(0 < row["stored_bytes"] <= 1_024_000 for row in progress)
    (published,) = api.stream("published_objects", {})
    assert published == {"key": last["key"], "size": 1_024_000, "ttl": 60}
    assert list(api.stream("published", {})) == []  # blocks are no values of their own
    assert api.call("unpublish_object", {"key": last["key"]})["was_published"]
    assert list(api.stream("published_objects", {})) == []


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, "'path' is missing"),
        ({"path": "relative"}, "an absolute path"),
        ({"path": "/none"}, "/none: No such file"),
        ({"path": "/none", "more": 1}, "no field 'more'"),
        ({"path": "/dev/null"}, "/dev/null: not a regular file"),
        ({"path": __file__, "ttl": -1}, "a TTL is"),
    ],
)
def test_wrong_fields(make_node: Callable[..., Node], fields: dict[str, Any], error: str) -> None:
    with pytest.raises(BadRequest, match=error):
        list(NodeApi(make_node()).stream("publish_object", fields))
