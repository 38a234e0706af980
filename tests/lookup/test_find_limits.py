"""The limits of a find: lying nodes use neither the memory nor the time of a reader."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import gevent
import pytest

from kademlua import FindLimits, Node, NodeClosed, Params, SigningKey, sha1
from kademlua.core.values import records
from kademlua.core.wire import packets, replies
from kademlua.core.wire.packets import Request
from tests.support.peers import ScriptedPeer, empty_v11_peer, requests_served
from tests.support.world import World

KEY = sha1("key")
PageOf = Callable[[int, int], list[bytes]]
"""Returns the values from an index on, up to a limit; each bencoded."""


def add_peer(
    world: World, node: Node, distance: int, page_of: PageOf, total: int = 1 << 40
) -> ScriptedPeer:
    """Add a peer that says that it has ``total`` values, and is the nearer the lower
    ``distance`` is."""
    peer = world.peer(KEY[:19] + bytes([KEY[19] ^ distance]))

    def answer(request: Request) -> bytes:
        if request.name != b"findvalue":
            return empty_v11_peer(request)
        _, limit, *offset = request.args
        start = offset[0] if offset else 0
        values = page_of(start, min(limit, total - start))
        return replies.encode_findvalue_reply([], values, 1, remaining=total - start - len(values))

    peer.serve(answer)
    node.ping(peer.contact)
    return peer


def honest(total: int, page_size: int = 10) -> PageOf:
    """Numbered values, a few on each page."""
    return lambda start, limit: [
        b"i%de" % number for number in range(start, start + min(limit, page_size))
    ]


def large(start: int, limit: int) -> list[bytes]:
    """Four different values of the largest size."""
    return [b"14990:%014990d" % number for number in range(start, start + 4)]


def huge(start: int, limit: int) -> list[bytes]:
    """One value that no node stores."""
    return [b"59000:%059000d" % start]


def many_lists(start: int, limit: int) -> list[bytes]:
    """Values of few bytes, and of much memory."""
    return [b"li%de%be" % (start + number, b"le" * 7_000) for number in range(4)]


@pytest.mark.parametrize("lie", [large, huge, many_lists])
def test_three_liars_do_not_exhaust_memory(world: World, lie: PageOf) -> None:
    node = world.alice
    for distance in (1, 2, 3):
        add_peer(world, node, distance, lie)
    tracemalloc.start()
    try:
        node.find_value(KEY)
        assert tracemalloc.get_traced_memory()[1] < 12e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("lie", "counters", "reason"),
    [
        (large, "ignored_values", "over the byte budget"),
        (many_lists, "dropped", "too many tokens"),
    ],
)
def test_a_liar_does_not_use_the_budget_of_honest_nodes(
    world: World, lie: PageOf, counters: str, reason: str
) -> None:
    node = world.alice
    for distance in (1, 2):
        add_peer(world, node, distance, lie)
    peer = add_peer(world, node, 3, honest(1_000), 1_000)
    answers = node.find_value(KEY)
    assert {each.contact: each.values for each in answers}[peer.contact] == [*range(1_000)]
    assert node.stats()[counters][reason] > 0


def test_large_values_are_ignored_and_the_search_goes_on(world: World) -> None:
    node = world.alice
    for distance in (1, 2, 3):
        add_peer(world, node, distance, huge)
    peer = add_peer(world, node, 4, honest(5), 5)
    [found] = node.find_value(KEY)
    assert (found.contact, found.values) == (peer.contact, [0, 1, 2, 3, 4])
    assert node.stats()["ignored_values"] == {"too large": 3}


def test_what_a_find_receives_is_limited(world: World) -> None:
    """Each page has one small value, and 60 kB of something else."""
    node, liar = world.alice, world.peer(KEY)
    numbers = itertools.count()

    def answer(request: Request) -> bytes:
        if request.name != b"findvalue":
            return empty_v11_peer(request)
        fields = b"7:closest0:4:junk60000:%b4:morei9999e6:retvalli%dee"
        return b"ld%bee" % fields % (bytes(60_000), next(numbers))

    liar.serve(answer)
    node.ping(liar.contact)
    node.find_value(KEY, limits=FindLimits(max_bytes=3_000_000))
    assert next(numbers) < 3_000_000 / 3 / 60_000 + 6


@pytest.mark.parametrize(
    "page_of", [lambda start, limit: [b"1:v"], lambda start, limit: [b"1:v"] if not start else []]
)
def test_node_without_new_values_is_asked_no_more(world: World, page_of: PageOf) -> None:
    node = world.alice
    liar = add_peer(world, node, 1, page_of)
    [found] = node.find_value(KEY)
    assert found.values == [b"v"]
    assert requests_served(liar).count("findvalue") <= 5
    assert set(node.stats()["ignored_values"]) <= {"repeated"}


def slow(world: World, node: Node, distance: int, seconds: float = 1.0) -> ScriptedPeer:
    """Add a peer that returns one new value with each page, after a while."""
    liar = world.peer(KEY[:19] + bytes([KEY[19] ^ distance]))

    def answer(request: Request) -> bytes | None:
        if request.name != b"findvalue":
            return empty_v11_peer(request)
        offset = request.args[2] if len(request.args) > 2 else 0
        page = replies.encode_findvalue_reply([], [b"i%de" % offset], 1, remaining=4_095)
        if not offset:
            return page
        late = packets.encode_response(liar.id, request.rpc_id, page)
        gevent.spawn_later(seconds, liar.send, late, node.contact.endpoint)
        return None

    liar.serve(answer)
    node.ping(liar.contact)
    return liar


@pytest.mark.parametrize("limits", [None, FindLimits(timeout=3)])
def test_slow_pages_of_several_nodes_share_one_deadline(
    world: World, limits: FindLimits | None
) -> None:
    node = world.alice
    for distance in (1, 2):
        slow(world, node, distance)
    peer = add_peer(world, node, 3, honest(40), 40)
    began = world.now
    answers = node.find_value(KEY, limits=limits)
    timeout = 3 if limits else Params().find_timeout
    assert timeout <= world.now - began < timeout + 0.5
    values = [each.values for each in answers]
    assert [len(each) > timeout for each in values[:2]] == [True, True]
    assert (answers[2].contact, values[2]) == (peer.contact, [*range(40)])
    gevent.sleep(2)


def test_the_deadline_ends_the_lookup(world: World) -> None:
    """The nearest nodes do not reply; the values that came before the deadline are returned."""
    node = world.node(params=Params(find_timeout=0.5, rpc_timeout=1))
    peer = add_peer(world, node, 1, honest(5), 5)
    for distance in range(2, 9):
        silent = world.peer(KEY[:19] + bytes([KEY[19] ^ distance]))
        silent.serve(empty_v11_peer)
        node.ping(silent.contact)
        silent.serve(lambda _: None)
    began = world.now
    [found] = node.find_value(KEY, max_nodes=8)
    assert (found.contact, found.values) == (peer.contact, [0, 1, 2, 3, 4])
    assert world.now - began == pytest.approx(0.5, abs=0.01)


def test_the_deadline_ends_a_lookup_of_nodes(world: World) -> None:
    node = world.node(params=Params(find_timeout=0.5, rpc_timeout=1))
    peer = add_peer(world, node, 1, honest(5), 5)
    silent = world.peer(KEY[:19] + bytes([KEY[19] ^ 2]))
    silent.serve(empty_v11_peer)
    node.ping(silent.contact)
    silent.serve(lambda _: None)
    began = world.now
    assert node.find_node(KEY) == [peer.contact]
    assert world.now - began == pytest.approx(0.5, abs=0.01)


def test_the_bytes_of_the_first_replies_are_limited(world: World) -> None:
    """Each node names the next one, and sends much that nobody asked for."""
    node = world.node(params=Params(max_find_bytes=300_000))
    liars = [world.peer(KEY[:19] + bytes([KEY[19] ^ distance])) for distance in range(30, 0, -1)]
    for liar, nearer in itertools.pairwise([*liars, liars[-1]]):
        reply = b"ld7:closest26:%b4:junk60000:%bee" % (nearer.contact.compact, bytes(60_000))
        liar.serve(lambda r, reply=reply: reply if r.name != b"ping" else empty_v11_peer(r))
    node.ping(liars[0].contact)
    node.find_node(KEY)
    node.find_value(KEY)
    assert sum(requests_served(each).count("findnode") for each in liars) <= 6
    assert sum(requests_served(each).count("findvalue") for each in liars) <= 6


def test_a_closing_node_ends_the_fetching_of_pages(world: World) -> None:
    node = world.alice
    slow(world, node, 1)

    def find() -> None:
        with pytest.raises(NodeClosed):
            node.find_value(KEY)

    finding = gevent.spawn(find)  # an error that ends a greenlet would be printed
    gevent.sleep(2)
    node.close()
    finding.get()
    gevent.sleep(2)


def test_an_interrupted_find_requests_no_further_pages(world: World) -> None:
    node = world.alice
    liar = slow(world, node, 1)
    find = gevent.spawn(node.find_value, KEY)
    gevent.sleep(2)
    find.kill()
    count = len(liar.requests)
    gevent.sleep(5)
    assert len(liar.requests) == count


def test_values_on_further_pages_count_for_the_quorum(world: World) -> None:
    node = world.alice
    add_peer(world, node, 1, lambda start, limit: [b"i%de" % (start % 30 + 20)], 50)
    peers = [add_peer(world, node, distance, honest(40), 40) for distance in (2, 3)]
    answers = node.find_value(KEY, quorum=2)
    assert {each.contact: sorted(each.values) for each in answers[1:]} == {
        peer.contact: [*range(40)] for peer in peers
    }
    assert sorted(answers[0].values) == [*range(20, 40)]


# Records.


def test_records_are_found_behind_liars_without_delay(world: World) -> None:
    signer = SigningKey(bytes(32))
    key = records.signed_key(signer.public_key, b"")
    nodes = world.network(8)
    record = nodes[0].put_signed(b"true", signer).signed_record
    value_key = nodes[0].put_immutable(b"fixed").key
    reader = world.node(nodes[0], read_only=True)
    assert reader.wait_joined(30)
    liars = []
    for target, number in itertools.product((key, value_key), range(1, 7)):
        liar = world.peer(target[:19] + bytes([target[19] ^ number]))
        page = replies.encode_findvalue_reply([], large(number, 4), 1, remaining=1 << 40)
        liar.serve(lambda r, p=page: p if r.name == b"findvalue" else empty_v11_peer(r))
        reader.ping(liar.contact)
        liars.append(liar)
    began = world.now
    assert reader.get_signed(signer.public_key) == record
    assert reader.get_immutable(value_key) == b"fixed"
    assert reader.find_value(key, 9)[0].values[0][b"v"] == b"true"
    assert world.now - began < 3
    assert all(requests_served(each).count("findvalue") <= 6 for each in liars)


def test_limits_of_records(world: World) -> None:
    nodes = world.network(5)
    key = nodes[0].put_immutable(b"value").key
    reader = world.node(nodes[0], read_only=True)
    assert reader.wait_joined(30)
    assert reader.get_immutable(key, limits=FindLimits(max_bytes=10_000)) == b"value"
    with pytest.raises(KeyError):
        reader.get_immutable(key, limits=FindLimits(timeout=0.01))
