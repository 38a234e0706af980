"""Values that only holders of a secret can find and read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kademlua import AsyncNode, NothingToRemove, Secret, ThreadedNode, sha1
from kademlua.core.contact import Endpoint
from kademlua.core.watch.changes import Change, ChangeKind
from tests.support.world import World

SECRET, OTHER = Secret(b"s" * 32), Secret(b"o" * 32)
KEY = sha1("where the treasure is")


@pytest.mark.parametrize("value", [b"", b"under the oak", 7, [1, [b"x"]], {b"k": b"v" * 500}])
def test_value_is_found_with_the_secret_and_not_without(world: World, value: Any) -> None:
    writer, reader, *_ = world.network(10)
    writer.secret(SECRET).add(KEY, value)
    assert [each.values for each in reader.secret(SECRET).find_value(KEY, max_nodes=1)] == [[value]]
    assert reader.secret(OTHER).find_value(KEY) == []
    assert reader.find_value(KEY) == []


def test_holders_learn_neither_key_nor_value(world: World) -> None:
    seen: list[bytes] = []
    nodes = world.network(10)
    world.net.set_observer(lambda at, source, to, datagram, outcome: seen.append(datagram))
    nodes[0].secret(SECRET).add(KEY, b"under the oak")
    nodes[1].secret(SECRET).find_value(KEY)
    assert len(seen) > 10
    assert not any(KEY in each or b"under the oak" in each for each in seen)


def test_values_of_others_are_never_shown(world: World) -> None:
    """A plain value, one with another secret, and one that was moved from another key."""
    nodes = world.network(10)
    nodes[0].secret(SECRET).add(sha1("elsewhere"), b"moved")
    [found] = nodes[0].find_value(SECRET.blind_key(sha1("elsewhere")), max_nodes=1)
    blinded = SECRET.blind_key(KEY)
    nodes[1].add(blinded, b"plain")
    nodes[2].add(blinded, OTHER.seal(b"5:other", blinded))
    nodes[3].add(blinded, found.values[0])
    nodes[4].add(blinded, SECRET.seal(b"no bencoding", blinded))
    assert nodes[5].secret(SECRET).find_value(KEY) == []
    nodes[6].secret(SECRET).add(KEY, b"genuine")
    answers = nodes[5].secret(SECRET).find_value(KEY, max_nodes=1)
    assert [each.values for each in answers] == [[b"genuine"]]


def test_recorded_value_can_be_stored_again_by_others(world: World) -> None:
    """What docs/security.md says is not prevented: it is genuine, but not its owner's."""
    nodes = world.network(5)
    blinded = SECRET.blind_key(KEY)
    nodes[0].secret(SECRET).add(KEY, b"genuine")
    [found] = nodes[1].find_value(blinded, max_nodes=1)
    nodes[0].secret(SECRET).remove(KEY)
    nodes[1].add(blinded, found.values[0])
    assert [each.values for each in nodes[2].secret(SECRET).find_value(KEY, max_nodes=1)] == [
        [b"genuine"]
    ]


def test_value_is_published_and_removed(world: World) -> None:
    writer, reader, *_ = world.network(10)
    ours = writer.secret(SECRET)
    ours.publish(KEY, b"first")
    ours.publish(KEY, b"second")
    assert [each.key for each in writer.published()] == [SECRET.blind_key(KEY)]
    answers = reader.secret(SECRET).find_value(KEY, max_nodes=1)
    assert [each.values for each in answers] == [[b"second"]]
    ours.remove(KEY)
    assert reader.secret(SECRET).find_value(KEY) == []
    assert not ours.unpublish(KEY)
    with pytest.raises(NothingToRemove):
        ours.remove(KEY)


def test_overwrite_replaces(world: World) -> None:
    writer, reader, *_ = world.network(5)
    writer.secret(SECRET).add(KEY, b"first")
    writer.secret(SECRET).overwrite(KEY, b"second")
    answers = reader.secret(SECRET).find_value(KEY, max_nodes=1)
    assert [each.values for each in answers] == [[b"second"]]


def test_watch_shows_opened_values_only(world: World) -> None:
    nodes = world.network(10)
    writer, blinded = nodes[0], SECRET.blind_key(KEY)
    writer.secret(SECRET).add(KEY, b"first")
    nodes[1].add(blinded, b"plain")
    with nodes[5].secret(SECRET).watch(KEY) as watch:
        assert watch.next(2) == Change(ChangeKind.ADDED, writer.contact, b"first")
        writer.secret(SECRET).publish(KEY, b"second")
        assert watch.next(2) == Change(ChangeKind.REPLACED, writer.contact, b"second")
        nodes[1].add(blinded, OTHER.seal(b"5:other", blinded))
        nodes[2].add(blinded, SECRET.seal(b"no bencoding", blinded))
        assert watch.next(2) is None
        writer.add(blinded, b"plain")
        assert watch.next(2) == Change(ChangeKind.REMOVED, writer.contact, b"second")


def test_secret_and_plain_watches_of_a_key_are_independent(world: World) -> None:
    nodes = world.network(10)
    blinded = SECRET.blind_key(KEY)
    with nodes[5].secret(SECRET).watch(KEY) as ours, nodes[5].watch(blinded) as sealed:
        nodes[0].secret(SECRET).add(KEY, b"value")
        change = ours.next(2)
        assert change is not None
        assert change.value == b"value"
        change = sealed.next(2)
        assert change is not None
        assert SECRET.open(change.value, blinded) == b"5:value"


def test_too_large_a_value_states_the_limit(world: World) -> None:
    node = world.network(2)[0]
    limit = node.params.max_value_bytes
    with pytest.raises(ValueError, match=r"a secret value has at most 1\d,\d\d\d bytes"):
        node.secret(SECRET).add(KEY, b"x" * (limit - 50))
    node.secret(SECRET).add(KEY, b"x" * (limit - limit // 8 - 100))


@pytest.mark.parametrize("bad", [b"short", 5, "short"])
def test_invalid_secret_is_refused(world: World, bad: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        world.node().secret(bad)


def test_bridges_have_the_same_operations() -> None:
    async def find(endpoint: Endpoint) -> list[Any]:
        async with AsyncNode(bootstrap=[endpoint]) as asynchronous:
            [answer] = await asynchronous.secret(SECRET).find_value(KEY, max_nodes=1)
            async with asynchronous.secret(SECRET).watch(KEY) as watch:
                change = await anext(watch)
            assert answer.values == [change.value]
            return answer.values

    with ThreadedNode() as threaded:
        threaded.secret(SECRET).add(KEY, b"under the oak")
        [answer] = threaded.secret(SECRET).find_value(KEY, max_nodes=1)
        assert answer.values == [b"under the oak"]
        with threaded.secret(SECRET).watch(KEY) as watch:
            assert next(watch).value == b"under the oak"
        assert asyncio.run(find(threaded.contact.endpoint)) == [b"under the oak"]
