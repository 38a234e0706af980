"""Value search: limits, quorum and missing replicas."""

from typing import Any

import pytest

from kademlua import Contact, Node, sha1
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from kademlua.lookup.value_search import FindOptions, ValueSearch
from kademlua.runtime.context import Context
from tests.support.peers import ScriptedPeer, requests_served
from tests.support.world import World

KEY = sha1("key")


def telling(*values: Any) -> Any:
    """The answers of one who has these, and knows nobody."""
    encoded = [replies.encode_value(value) for value in values]

    def answer(request: Request) -> bytes:
        if request.name == b"findvalue":
            return replies.encode_findvalue_reply([], encoded, 1)
        return b"li5ee" if request.name == b"ping" else b"ld7:closest0:ee"

    return answer


def knowing(world: World, *told: Any) -> tuple[Node, list[ScriptedPeer]]:
    """A node that knows one peer for each list of values, the nearest to the key first."""
    node, peers = world.alice, []
    for number, values in enumerate(told):
        peer = world.peer(KEY[:19] + bytes([KEY[19] ^ (number + 1)]))
        peer.serve(telling(*values))
        node.ping(peer.contact)
        peers.append(peer)
    return node, peers


def test_one_reply_suffices_without_a_quorum(world: World) -> None:
    node, _ = knowing(world, [b"lie"], [b"truth"])
    assert {answer.values[0] for answer in node.find_value(KEY)} == {b"lie", b"truth"}


def test_values_below_the_quorum_are_omitted(world: World) -> None:
    node, peers = knowing(world, [b"lie"], [b"truth", b"more"], [b"truth"], [{b"k": [1]}])
    answers = node.find_value(KEY, quorum=2)
    assert [(each.contact, each.values) for each in answers] == [
        (peers[1].contact, [b"truth"]),
        (peers[2].contact, [b"truth"]),
    ]
    assert node.find_value(KEY, quorum=3) == []


def test_the_search_goes_on_until_there_is_a_quorum(world: World) -> None:
    node, peers = knowing(world, [b"a"], [b"b"], [b"c"], [b"d"], [b"e"], [b"a"], [b"f"])
    answers = node.find_value(KEY, max_nodes=1, quorum=2)
    assert [each.contact for each in answers] == [peers[0].contact, peers[5].contact]
    assert "findvalue" not in requests_served(peers[6])


def test_values_of_any_form_are_compared(world: World) -> None:
    node, _ = knowing(world, [{b"k": [1, b"x"]}], [{b"k": [1, b"x"]}])
    assert node.find_value(KEY, quorum=2)[0].values == [{b"k": [1, b"x"]}]


def test_replica_counts_once_for_the_quorum(world: World) -> None:
    node, _ = knowing(world, [b"lie", b"lie"])
    assert node.find_value(KEY, quorum=2) == []


def test_local_store_counts_for_the_quorum(world: World) -> None:
    nodes = world.network(2)
    nodes[0].add(KEY, b"v")
    assert len(nodes[0].find_value(KEY, quorum=2)) == 2
    assert nodes[0].find_value(KEY, quorum=3) == []


@pytest.mark.parametrize(
    ("holders", "empty", "lacking"),
    [
        ([2], [1, 3], [1]),
        ([1], [2, 3], []),
        ([4, 2], [9, 3, 1], [1, 3]),
        ([], [1], []),
        ([1], [], []),
    ],
)
def test_missing_replicas_are_reported(
    world: World, holders: list[int], empty: list[int], lacking: list[int]
) -> None:
    def at(distance: int) -> Contact:
        return Contact("192.0.2.1", 1, distance.to_bytes(20, "big"))

    context: Context = world.alice.services.context
    record_filter = world.alice.services.lookups.record_filter(bytes(20))
    finding = ValueSearch(context, bytes(20), FindOptions(max_nodes=9), record_filter)
    for distance in holders:
        finding.add(at(distance), [b"v"])
    for distance in empty:
        assert finding.read_reply(at(distance), [{b"closest": b""}]) == []
    assert finding.missing_replicas() == [at(distance) for distance in lacking]
    assert finding.cache_candidate() == (at(min(empty)) if empty else None)


def test_unreadable_value_of_a_v10_peer_does_not_hide_the_others(world: World) -> None:
    node, peer = world.alice, world.peer(KEY)
    peer.serve(
        lambda request: (
            b"li5ee" if request.name == b"ping" else b"ld7:closestle6:retvall1:ai-0ei7eeee"
        )
    )
    node.ping(peer.contact)
    [found] = node.find_value(KEY)
    assert found.values == [b"a", 7]
    assert node.stats()["dropped"] == {}
    assert node.services.liveliness.versions.is_v10(peer.contact)  # by the form of its contacts
