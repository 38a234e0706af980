"""Finding nodes and values, and storing values, through the public interface."""

import random
from collections.abc import Callable

import gevent
import pytest

from kademlua import Contact, FindLimits, Params, StoreFailed, sha1
from kademlua.core.ids import from_int, xor
from kademlua.core.wire import replies
from kademlua.core.wire.packets import Request
from tests.support.peers import always_pong, empty_v10_peer
from tests.support.world import RTT, TIMER_SLACK, World

KEY = sha1("key")


@pytest.mark.parametrize("value", [b"", b"\0\xff", 0, -7, 2**200, [1, [b"x"]], {b"a": [1, {}]}])
def test_any_bencoded_value_comes_back(world: World, value: object) -> None:
    nodes = world.network(3)
    nodes[0].add(KEY, value)
    assert all(answer.values == [value] for answer in nodes[2].find_value(KEY))


def test_text_comes_back_as_its_bytes(world: World) -> None:
    world.alice.add(KEY, "wört")
    assert world.alice.find_value(KEY)[0].values == ["wört".encode()]


def test_one_value_for_each_owner(world: World) -> None:
    one, two, three = world.network(3)
    one.add(KEY, b"of one")
    two.add(KEY, b"of two")
    one.add(KEY, b"of one, later")
    for node in (one, two, three):
        for answer in node.find_value(KEY):
            assert sorted(answer.values) == [b"of one, later", b"of two"]


@pytest.mark.parametrize(("drops", "left"), [(True, [b"two"]), (False, [b"one", b"two"])])
def test_overwrite_drops_others_where_params_say_so(
    world: World, drops: bool, left: list[bytes]
) -> None:
    one, two = world.network(2, params=Params(overwrite_drops_others=drops))
    one.add(KEY, b"one")
    two.overwrite(KEY, b"two")
    assert sorted(one.find_value(KEY)[0].values) == left


def test_a_key_without_values_gives_an_empty_list(world: World) -> None:
    assert world.network(5)[3].find_value(KEY) == []


def test_values_per_reply_are_limited(world: World) -> None:
    nodes = world.network(5)
    for node in nodes:
        node.add(KEY, node.id)
    assert all(
        len(answer.values) == 2
        for answer in nodes[0].find_value(KEY, limits=FindLimits(max_values_per_node=2))
    )
    assert len(nodes[0].find_value(KEY, max_nodes=2)) == 2


def test_a_lone_node_keeps_values_itself(world: World) -> None:
    node = world.alice
    assert node.add(KEY, b"v").acknowledged == [node.contact]
    assert node.find_value(KEY)[0].contact == node.contact
    assert world.now == 0


def test_an_add_is_a_lookup_and_a_store(world: World) -> None:
    """Where all know each other: alpha are asked first, then all others at once, since nobody
    nearer was told of; then all store."""
    nodes = world.network(10)
    gevent.sleep(30)
    began = world.now
    assert len(nodes[2].add(KEY, b"v").acknowledged) == 10
    assert world.now - began == pytest.approx(3 * RTT)
    began = world.now
    assert len(nodes[7].find_value(KEY, max_nodes=1)) == 1
    assert world.now == began  # it has it itself


def test_values_expire_at_their_ttl(world: World) -> None:
    nodes = world.network(3, params=Params(ttl=100))
    began = world.now
    nodes[0].add(KEY, b"v")
    gevent.sleep(began + 100 - world.now - 0.001)
    assert nodes[1].find_value(KEY)
    gevent.sleep(began + 100 + 3 * RTT - world.now)
    assert not nodes[1].find_value(KEY)
    gevent.sleep(12)
    assert all(len(node.datastore) == 0 for node in nodes)


def test_refused_store_reports_its_reason(world: World) -> None:
    nodes = world.network(3, params=Params(max_entries=0))
    with pytest.raises(StoreFailed, match=r"3 refused \(no room for more values"):
        nodes[0].add(KEY, b"v")
    assert nodes[1].stats()["refused_stores"] == {"no room for more values": 1}


def test_store_report_lists_each_replica(world: World) -> None:
    node, good, deaf = world.alice, world.bob, world.peer()
    deaf.serve(lambda request: None if request.name == b"store" else empty_v10_peer(request))
    for peer in (good.contact, deaf.contact):
        node.ping(peer)
    began = world.now
    report = node.add(KEY, b"v")
    assert set(report.acknowledged) == {node.contact, good.contact}
    assert report.timed_out == [deaf.contact]
    assert report.refused == []
    assert world.now - began <= RTT + node.params.rpc_timeout + TIMER_SLACK + 1e-9


@pytest.mark.parametrize("value", [None, 1.5, True, [None], {1: 2}, {b"a": 1, "b": 2}, object()])
def test_values_without_a_bencoding_are_refused(world: World, value: object) -> None:
    with pytest.raises(TypeError):
        world.alice.add(KEY, value)


def test_bad_keys_and_values_are_named(world: World) -> None:
    node = world.alice
    with pytest.raises(TypeError, match="sha1"):
        node.add("key", b"v")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="20 bytes, not 3"):
        node.find_value(b"abc")
    with pytest.raises(ValueError, match="15,000 bytes"):
        node.add(KEY, bytes(15_001))


def test_values_may_nest_as_deep_as_an_answer_can_carry(world: World) -> None:
    nodes = world.network(2)
    value: list[object] = []
    for _ in range(60):
        value = [value]
    nodes[0].add(KEY, value)
    assert [answer.values for answer in nodes[1].find_value(KEY)] == [[value]] * 2
    with pytest.raises(TypeError, match="nested"):
        nodes[0].add(KEY, [value])


def test_many_greenlets_use_one_node(world: World) -> None:
    nodes = world.network(10)
    keys = [sha1(f"key {number}") for number in range(60)]
    gevent.joinall([gevent.spawn(nodes[4].add, key, key) for key in keys], raise_error=True)
    finders = [gevent.spawn(nodes[7].find_value, key) for key in keys]
    gevent.joinall(finders, raise_error=True)
    for key, finder in zip(keys, finders, strict=True):
        assert all(answer.values == [key] for answer in finder.value)
        assert len(finder.value) == 3


def test_a_hundred_nodes_and_many_keys(world: World) -> None:
    nodes = world.network(100)
    for number in range(400):
        report = nodes[number % 100].add(sha1(f"key {number}"), b"value %d" % number)
        assert len(report.acknowledged) == 20
    # The network's size, by what its nodes saw of it.
    sizes = sorted(node.network_size() for node in nodes)
    assert sizes[10] >= 75
    assert sizes[-10] <= 125
    for node in nodes[1::2]:
        node.close()
    survivors = nodes[::2]
    for number in range(400):
        answers = survivors[number % 50].find_value(sha1(f"key {number}"), max_nodes=1)
        assert answers[0].values == [b"value %d" % number]


# Values that prove themselves, and disjoint paths.


def genuine(values: list[object]) -> list[object]:
    return [value for value in values if value == b"genuine"]


def test_value_rejected_by_filter_does_not_count(world: World) -> None:
    one, two, three = world.network(3)
    one.add(KEY, b"forged")
    assert three.find_value(KEY, value_filter=genuine) == []
    two.add(KEY, b"genuine")
    for node in (one, two, three):
        answers = node.find_value(KEY, value_filter=genuine)
        assert answers
        assert all(answer.values == [b"genuine"] for answer in answers)


def test_a_forged_value_does_not_end_a_find(world: World) -> None:
    """Those next to the key show forged values; one farther away has the genuine one."""
    node = world.alice
    forgers = [world.peer(xor(KEY, from_int(number))) for number in range(1, 6)]
    honest = world.peer(xor(KEY, from_int(1 << 150)))
    for peer, value in [*((each, b"6:forged") for each in forgers), (honest, b"7:genuine")]:
        peer.serve(responder(value))
        node.ping(peer.contact)
    for paths in (1, 3):
        answers = node.find_value(KEY, 1, value_filter=genuine, paths=paths)
        assert [answer.contact for answer in answers] == [honest.contact]


def responder(value: bytes) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        if request.name == b"findvalue":
            return replies.encode_findvalue_reply([], [value], request.version)
        return always_pong(request)

    return answer


@pytest.mark.parametrize("paths", [2, 4, 16])
def test_values_are_found_and_stored_on_several_paths(world: World, paths: int) -> None:
    nodes = world.network(30, params=Params(disjoint_paths=paths))
    report = nodes[3].add(KEY, b"v")
    assert len(report.acknowledged) == 20
    for node in nodes:
        assert node.find_value(KEY, 2)[0].values == [b"v"]
        assert node.find_value(sha1("another")) == []


@pytest.mark.parametrize("paths", [1, 2])
def test_malicious_replica_does_not_delay_a_find_on_disjoint_paths(
    world: World, paths: int
) -> None:
    """It is the nearest that is known, and tells of a score of dead ones next to the key."""
    node = world.alice
    ids = (xor(KEY, from_int(1 << bit)) for bit in (100, 110, 120))
    liar, holder, guide = (world.peer(node_id) for node_id in ids)
    liar.serve(guide_to([Contact(f"10.9.0.{n}", 9, xor(KEY, from_int(n))) for n in range(1, 21)]))
    holder.serve(responder(b"7:genuine"))
    guide.serve(guide_to([holder.contact]))
    for peer in (liar, guide):
        node.ping(peer.contact)
    began = world.now
    assert node.find_value(KEY, 1, value_filter=genuine, paths=paths)
    took = world.now - began
    if paths == 1:
        assert took > 3 * RTT
    else:
        assert took == pytest.approx(2 * RTT)


def guide_to(contacts: list[Contact]) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        if request.name == b"findvalue":
            return replies.encode_findvalue_reply(contacts, [], request.version)
        return always_pong(request)

    return answer


def test_density_of_ids_comes_from_many_lookups_soon(world: World) -> None:
    """The first few places that a node looks up may be dense by chance."""
    node, rng = world.network(150)[-1], random.Random(1)
    lookups = node.services.lookups
    while len(lookups.size_estimator) < 16:
        node.find_node(rng.randbytes(20))
    assert node.table.density is not None
    distance = node.table.density.max_replica_distance(20)
    lookups.update_density()
    assert node.table.density.max_replica_distance(20) == distance


def test_size_stays_known_while_samples_are_collected_again(world: World) -> None:
    node, rng = world.network(60)[-1], random.Random(1)
    lookups = node.services.lookups
    while len(lookups.size_estimator) < 4:
        node.find_node(rng.randbytes(20))
    assert node.table.density is not None
    lookups.size_estimator.reset()  # the network has grown
    node.find_node(rng.randbytes(20))
    assert node.table.density is not None
