"""The texts of keys: what an API remembers of them, and shows."""

from __future__ import annotations

import pytest

from kademlua import sha1
from kademlua.api.fields import BadRequest
from kademlua.api.operations import NodeApi
from kademlua.api.text_keys import MAX_TEXT_CHARACTERS, MAX_TEXTS, TextKeys
from kademlua.simulation.clock.loop import virtual_now
from tests.support.world import World


def test_text_that_a_caller_named_is_shown(world: World) -> None:
    api = NodeApi(world.alice, clock=virtual_now)
    named = {"key": sha1("greeting").hex(), "text": "greeting"}
    api.call("publish", {**named, "value": "hello"})
    api.call("add", {"key": sha1("other").hex(), "value": "hello"})
    assert [row["text"] for row in api.stream("published", {})] == ["greeting"]
    rows = {row["key"]: row.get("text") for row in api.stream("stored", {})}
    assert rows == {sha1("greeting").hex(): "greeting", sha1("other").hex(): None}
    assert [row["text"] for row in api.stream("stored", named)] == ["greeting"]


@pytest.mark.parametrize("text", ["b", "", "\udcff"])
def test_false_text_is_refused(world: World, text: str) -> None:
    with pytest.raises(BadRequest, match="'text' is not the text of 'key'"):
        NodeApi(world.alice).call("find", {"key": sha1("a").hex(), "text": text})


def test_row_without_a_key_stays_as_it_is() -> None:
    assert TextKeys().name({"stored_bytes": 5}) == {"stored_bytes": 5}


def test_texts_are_bounded() -> None:
    texts = TextKeys()
    texts.learn("x" * (MAX_TEXT_CHARACTERS + 1))
    for number in range(MAX_TEXTS + 1):
        texts.learn(str(number))
    assert "text" not in texts.name({"key": sha1("x" * (MAX_TEXT_CHARACTERS + 1)).hex()})
    assert "text" not in texts.name({"key": sha1("0").hex()})
    assert texts.name({"key": sha1("1").hex()})["text"] == "1"
