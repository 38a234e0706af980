"""The operations of the API with a secret that the node never gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kademlua import Node, Params, Secret, sha1
from kademlua.api.fields import BadRequest
from kademlua.api.operations import NodeApi
from kademlua.api.secret_calls import SecretCalls
from kademlua.core.json_codec import value_to_json
from tests.support.world import World

SECRET = Secret(b"s" * 32)
KEY = sha1("treasure").hex()
BLINDED = SECRET.blind_key(sha1("treasure"))


class Recorder:
    """Calls the API of a node, and keeps what was sent to it."""

    def __init__(self, node: Node) -> None:
        self._api = NodeApi(node)
        self.sent: list[Any] = []

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        self.sent.append((name, fields))
        return self._api.call(name, fields)

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        self.sent.append((name, fields))
        return self._api.stream(name, fields)


def test_node_gets_neither_key_nor_text_nor_value(world: World) -> None:
    node, *_ = world.network(3)
    recorder = Recorder(node)
    call = SecretCalls(SECRET, recorder, node.params)
    for name in ("add", "publish"):
        report = call(name, key=KEY, text="treasure", value="under the oak", ttl=60)
        assert report["key"] == KEY
        assert len(report["acknowledged"]) == 3
    found = call("find", key=KEY, text="treasure", answers=1)
    assert [each["values"] for each in found["answers"]] == [["under the oak"]]
    assert call("unpublish", key=KEY) == {"key": KEY, "was_published": True}
    assert call("remove", key=KEY)["key"] == KEY
    sent = repr(recorder.sent)
    assert not any(each in sent for each in (KEY, "treasure", "oak"))


@pytest.mark.parametrize("value", [7, ["a", {"b": []}], {"hex": "ff00"}, ""])
def test_values_of_each_kind_come_back(world: World, value: Any) -> None:
    node, *_ = world.network(2)
    call = SecretCalls(SECRET, Recorder(node), node.params)
    call("add", key=KEY, value=value)
    assert call("find", key=KEY, answers=1)["answers"][0]["values"] == [value]


class Holders:
    """Answers a find with these values, each of one node, the first answers first."""

    def __init__(self, *values: bytes) -> None:
        self._values = values
        self.asked: list[int] = []

    def __call__(self, name: str, **fields: Any) -> dict[str, Any]:
        self.asked.append(fields["answers"])
        values = self._values[: fields["answers"]]
        answers = [{"contact": {}, "values": [value_to_json(each)]} for each in values]
        return {"key": fields["key"], "answers": answers}

    def stream(self, name: str, **fields: Any) -> Iterator[dict[str, Any]]:
        for key in fields["keys"]:
            yield {**self("find", key=key, answers=fields["answers"]), "error": None}


def test_values_of_others_do_not_hide_genuine_ones() -> None:
    """The nodes that answer first have others only; no more nodes are shown than asked for."""
    genuine = [SECRET.seal(b"1:%d" % number, BLINDED) for number in range(4)]
    holders = Holders(b"forged", b"forged", b"also forged", *genuine)
    ignored: list[int] = []
    find = SecretCalls(SECRET, holders, Params(), ignored.append)
    found = find("find", key=KEY, answers=3)
    assert [each["values"] for each in found["answers"]] == [["0"], ["1"], ["2"]]
    assert len(holders.asked) == 2
    assert ignored == [2]
    holders = Holders(*genuine)
    found = SecretCalls(SECRET, holders, Params(), ignored.append)("find", key=KEY, answers=3)
    assert (len(found["answers"]), holders.asked, ignored) == (3, [3], [2])


def test_values_of_others_do_not_hide_one_of_many_keys() -> None:
    holders = Holders(b"forged", SECRET.seal(b"7:genuine", BLINDED))
    ignored: list[int] = []
    call = SecretCalls(SECRET, holders, Params(), ignored.append)
    [found] = call.stream("find_many", keys=[KEY], answers=1)
    assert [each["values"] for each in found["answers"]] == [["genuine"]]
    assert (found["key"], found["error"], ignored) == (KEY, None, [1])


def test_many_keys_at_a_time(world: World) -> None:
    node, *_ = world.network(3)
    ignored: list[int] = []
    recorder = Recorder(node)
    call = SecretCalls(SECRET, recorder, node.params, ignored.append)
    keys = [sha1(str(number)).hex() for number in range(3)]
    rows: list[Any] = [[key, "text"] for key in keys] + [[KEY, "x" * 14_900]]
    results = {row["key"]: row for row in call.stream("add_many", rows=rows, ttl=60)}
    assert all(results[key] == {"key": key, "nodes": 3, "error": None} for key in keys)
    assert results[KEY]["error"].startswith("a secret value has at most 14,")
    node.add(BLINDED, b"forged")
    found = {row["key"]: row for row in call.stream("find_many", keys=[*keys, KEY], answers=1)}
    assert all(found[key]["answers"][0]["values"] == ["text"] for key in keys)
    assert found[KEY]["answers"] == []
    assert ignored == [1]
    assert not any(key in repr(recorder.sent) for key in [*keys, KEY])


@pytest.mark.parametrize(
    ("name", "fields", "error"),
    [
        ("add", {"value": None}, "text, integers, lists"),
        ("add", {"value": "x" * 14_900}, "a secret value has at most 14,"),
        ("lookup", {}, "'lookup' takes no secret"),
    ],
)
def test_invalid_requests_name_the_reason(
    world: World, name: str, fields: dict[str, Any], error: str
) -> None:
    node, *_ = world.network(2)
    with pytest.raises(BadRequest, match=error):
        SecretCalls(SECRET, Recorder(node), node.params)(name, key=KEY, **fields)


def test_other_streams_take_no_secret(world: World) -> None:
    node, *_ = world.network(2)
    with pytest.raises(BadRequest, match="'stored' takes no secret"):
        SecretCalls(SECRET, Recorder(node), node.params).stream("stored")
