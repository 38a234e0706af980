"""Operations on many keys in a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from kademlua import Node, NodeClosed, NotJoined, Params, StoreFailed, sha1
from kademlua.core.ids import to_int
from kademlua.core.wire import packets, replies, store_many
from kademlua.core.wire.packets import Request
from tests.support.peers import empty_v10_peer, empty_v11_peer, requests_served
from tests.support.world import UNUSED_ENDPOINT, World

FEW = Params(k=8, replicas=4)
ROWS = [(sha1(f"key {number}"), b"value %d" % number) for number in range(300)]


def holders(nodes: list[Node], key: bytes) -> set[bytes]:
    return {node.id for node in nodes if node.datastore.count(key)}


def closest(nodes: list[Node], key: bytes, count: int) -> set[bytes]:
    ids = [node.id for node in nodes]
    return set(sorted(ids, key=lambda each: to_int(each) ^ to_int(key))[:count])


def test_add_many(world: World) -> None:
    nodes = world.network(40, params=FEW)
    run = nodes[0].add_many(iter(ROWS))
    results = list(run)
    assert sorted(result.key for result in results) == sorted(key for key, _ in ROWS)
    assert run.report.succeeded == len(ROWS)
    assert not run.report.failed
    assert 0 < run.report.lookups < 25
    for result in results:
        assert result.error is None
        assert result.report is not None
        assert {each.id for each in result.report.acknowledged} == holders(nodes, result.key)
        assert holders(nodes, result.key) == closest(nodes, result.key, 4)
    for key, value in ROWS[::50]:
        assert nodes[7].find_value(key)[0].values == [value]


def test_find_many(world: World) -> None:
    nodes = world.network(40, params=FEW)
    list(nodes[0].add_many(ROWS))
    run = nodes[9].find_many([*(key for key, _ in ROWS), sha1("missing")], 1)
    found = {result.key: [a.values for a in result.answers] for result in run}
    assert all([value] in found[key] for key, value in ROWS)
    assert found[sha1("missing")] == []
    assert run.report.succeeded == len(ROWS)
    assert run.report.failed == {"no value found": 1}


def test_operations_share_lookups_for_some_minutes(world: World) -> None:
    nodes = world.network(40, params=FEW)
    runs = []
    for wait in (0, 60, 900):
        gevent.sleep(wait)
        runs.append(nodes[0].add_many(ROWS))
        assert all(result.error is None for result in runs[-1])
    assert [run.report.lookups > 0 for run in runs] == [True, False, True]


def test_few_keys_in_a_large_network_need_no_region(world: World) -> None:
    nodes = world.network(40, params=FEW)
    run = nodes[0].add_many(ROWS[:5])
    assert sorted(len(holders(nodes, result.key)) for result in run) == [4] * 5
    assert run.report.lookups == 0


def test_lone_node(world: World) -> None:
    assert all(result.error is None for result in world.alice.add_many(ROWS))
    assert len(world.alice.datastore) == len(ROWS)


def test_not_joined(world: World) -> None:
    node = world.node(UNUSED_ENDPOINT)
    with pytest.raises(NotJoined):
        next(node.add_many(ROWS))


def test_small_network(world: World) -> None:
    nodes = world.network(2, params=FEW)
    assert all(result.error is None for result in nodes[0].add_many(ROWS))
    assert all(holders(nodes, key) == {node.id for node in nodes} for key, _ in ROWS)


def test_client_stores_nothing_itself(world: World) -> None:
    nodes = world.network(20, params=FEW)
    client = world.node(nodes[0], read_only=True, params=FEW)
    assert client.wait_joined(30)
    assert all(result.error is None for result in client.add_many(ROWS))
    assert all(holders(nodes, key) == closest(nodes, key, 4) for key, _ in ROWS)
    assert len(client.datastore) == 0


def test_errors_of_one_key_do_not_end_the_others(world: World) -> None:
    nodes = world.network(10, params=FEW)
    rows: list[Any] = [
        *ROWS[:100], (b"short", b"x"), (sha1("large"), bytes(20_000)), (sha1("odd"), 1.5),
    ]  # fmt: skip
    run = nodes[0].add_many(rows)
    errors = {result.key: str(result.error) for result in run if result.error is not None}
    assert run.report.succeeded == 100
    assert "a key has 20 bytes" in errors[b"short"]
    assert "15,000 bytes" in errors[sha1("large")]
    assert sha1("odd") in errors
    assert run.report.failed.total() == 3


def test_last_value_of_a_key_remains(world: World) -> None:
    nodes = world.network(10, params=FEW)
    rows = [(sha1("key"), b"%d" % number) for number in range(3)]
    assert [result.error for result in nodes[0].add_many(rows)] == [None] * 3
    assert nodes[5].find_value(sha1("key"))[0].values == [b"2"]


def test_values_of_one_key_are_not_sent_one_by_one(world: World) -> None:
    nodes = world.network(10, params=FEW)
    run = nodes[0].add_many((sha1("key"), number) for number in range(10_000))
    assert [result.error for result in run] == [None] * 10_000
    assert nodes[5].find_value(sha1("key"))[0].values == [9_999]
    calls = nodes[0].stats()["calls_by_rpc"]
    assert calls["store"] < 12
    found = nodes[0].find_many([sha1("key")] * 10_000)
    assert sum(bool(result.answers) for result in found) == 10_000
    assert nodes[0].stats()["calls_by_rpc"].get("findmany", 0) < 12


def test_values_of_several_owners(world: World) -> None:
    nodes = world.network(10, params=FEW)
    list(nodes[0].add_many(ROWS[:50]))
    list(nodes[1].add_many((key, b"other") for key, _ in ROWS[:50]))
    assert nodes[2].datastore.count(ROWS[0][0]) in (0, 2)


def test_overwrite_many(world: World) -> None:
    nodes = world.network(10, params=FEW.replace(overwrite_drops_others=True))
    list(nodes[0].add_many(ROWS[:50]))
    list(nodes[1].overwrite_many((key, b"other") for key, _ in ROWS[:50]))
    assert nodes[2].find_value(ROWS[0][0])[0].values == [b"other"]


def test_publish_many(world: World) -> None:
    nodes = world.network(10, params=FEW)
    assert all(result.error is None for result in nodes[0].publish_many(ROWS[:50], ttl=600))
    assert len(nodes[0].published()) == 50
    gevent.sleep(900)
    assert nodes[5].find_value(ROWS[3][0])[0].values == [ROWS[3][1]]
    list(nodes[0].add_many(ROWS[:10]))
    assert len(nodes[0].published()) == 40


def test_ttl(world: World) -> None:
    nodes = world.network(10, params=FEW)
    list(nodes[0].add_many(ROWS[:50], ttl=60))
    gevent.sleep(90)
    assert nodes[5].find_value(ROWS[3][0]) == []


def test_dead_holders_are_replaced(world: World) -> None:
    nodes = world.network(40, params=FEW)
    dying = nodes[30:]

    def end() -> None:
        for node in dying:
            node.close(hand_over=False)

    gevent.spawn_later(0.5, end)  # after lookups, among the stores
    results = list(nodes[0].add_many(ROWS))
    assert all(result.error is None for result in results)
    reports = [result.report for result in results if result.report and result.report.timed_out]
    assert len(reports) > 10
    assert {len(report.acknowledged) for report in reports} == {4}


def test_silent_holder_does_not_slow_the_others(world: World) -> None:
    nodes = world.network(40, params=FEW)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)

    def seconds(rows: list[tuple[bytes, bytes]]) -> float:
        began = world.now
        assert all(result.error is None for result in client.add_many(rows))
        return world.now - began

    rows = [(sha1(f"row {number}"), b"value") for number in range(3000)]
    seconds(rows[:1000])  # looks up the holders
    usual = seconds(rows[1000:2000])
    world.net.pause(nodes[7].contact.endpoint)
    with_timeout = seconds(rows[2000:])
    assert with_timeout < usual + 5  # about a timeout and its fallbacks
    assert seconds(rows[:1000]) < 1.2 * usual  # it is left out


def test_busy_holder_is_not_a_silent_one(world: World) -> None:
    peer = world.peer()

    def answer(request: Request) -> bytes | None:
        if request.name != b"storemany":
            return empty_v11_peer(request)
        reply = store_many.encode_reply([replies.STORE_OK] * len(request.args[1]))
        response = packets.encode_response(peer.id, request.rpc_id, reply)
        gevent.spawn_later(3, peer.send, response, node.contact.endpoint)
        return None

    peer.serve(answer)
    params = FEW.replace(rpc_timeout=4)
    node = world.node(peer.contact.endpoint, params=params, read_only=True)
    assert node.wait_joined(30)
    results = list(node.add_many(ROWS))
    assert all(result.report and result.report.acknowledged for result in results)
    assert node.stats()["timeouts"] == 0


def test_silent_holder_gets_values_again_after_a_while(world: World) -> None:
    nodes = world.network(5, params=FEW.replace(replicas=8))
    client = world.node(nodes[0], params=FEW.replace(replicas=8), read_only=True)
    assert client.wait_joined(30)
    list(client.add_many(ROWS[:50]))
    world.net.pause(nodes[3].contact.endpoint)
    assert all(result.error is None for result in client.add_many(ROWS[50:100]))
    world.net.resume(nodes[3].contact.endpoint)
    gevent.sleep(150)
    assert all(result.error is None for result in client.add_many(ROWS[100:150]))
    assert all(len(holders(nodes, key)) == 5 for key, _ in ROWS[100:150])


def test_refusing_holders(world: World) -> None:
    nodes = world.network(5, params=FEW.replace(max_value_bytes=5, write_quorum=3))
    writer = world.node(nodes[0], params=FEW.replace(write_quorum=3), read_only=True)
    assert writer.wait_joined(30)
    results = list(writer.add_many(ROWS[:50]))
    assert all(isinstance(result.error, StoreFailed) for result in results)
    assert all(result.report is not None and result.report.refused for result in results)


def test_holder_that_refuses_everything_gets_no_more_requests(world: World) -> None:
    nodes, peer = world.network(5, params=FEW), world.peer()

    def answer(request: Request) -> bytes | None:
        if b"store" not in request.name:
            return empty_v11_peer(request)
        refusal = replies.encode_refused_reply("no room")
        if request.name == b"store":
            return refusal
        return store_many.encode_reply([refusal] * len(request.args[1]))

    peer.serve(answer)
    client = world.node(peer.contact.endpoint, params=FEW, read_only=True)
    client.add_peers([nodes[0].contact.endpoint])
    assert client.wait_joined(30)
    gevent.sleep(60)
    rows = [(sha1(f"row {number}"), bytes(500)) for number in range(1_000)]
    results = list(client.add_many(rows))
    assert all(result.error is None for result in results)
    refused = [each.report.refused for each in results if each.report and each.report.refused]
    assert {reason for refusals in refused for _, reason in refusals} == {"no room"}
    assert len(refused) > 500
    assert len([name for name in requests_served(peer) if "store" in name]) < 30
    results = list(client.add_many(rows[:100]))  # a later run asks again
    assert all(result.error is None for result in results)
    assert len([name for name in requests_served(peer) if "store" in name]) > 30


def test_values_are_stored_again_if_the_clock_was_set_back(world: World) -> None:
    nodes = world.network(5, params=FEW)
    former = world.node(nodes[0], params=FEW, wall_clock=lambda: world.now + 60)
    assert former.wait_joined(30)
    assert all(result.error is None for result in former.add_many(ROWS))
    before = former.stats()["calls_by_rpc"]
    former.close(hand_over=False)
    endpoint = former.contact.endpoint
    node = world.node(nodes[0], params=FEW, id=former.id, endpoint=endpoint)
    assert node.wait_joined(30)
    results = list(node.add_many((key, b"newest") for key, _ in ROWS))
    assert {result.key for result in results} == {key for key, _ in ROWS}
    assert all(result.error is None for result in results)
    assert all(nodes[1].find_value(key)[0].values == [b"newest"] for key, _ in ROWS[::50])
    assert node.stats()["calls_by_rpc"]["storemany"] < 3 * before["storemany"]
    assert node.stats()["calls_by_rpc"].get("store", 0) < 10


def test_holder_that_claims_newer_values_costs_little(world: World) -> None:
    peer = world.peer()

    def answer(request: Request) -> bytes:
        if b"store" not in request.name:
            return empty_v11_peer(request)
        refusal = replies.encode_refused_reply("a newer value is stored", 2**63 - 1)
        return store_many.encode_reply([refusal] * len(request.args[1]))

    peer.serve(answer)
    node = world.node(peer.contact.endpoint, params=FEW)
    assert node.wait_joined(30)
    results = list(node.add_many(ROWS))
    assert all(result.report and len(result.report.acknowledged) == 1 for result in results)
    assert requests_served(peer).count("storemany") < len(ROWS) / 4
    assert requests_served(peer).count("store") < 10


def test_items_are_drawn_in_windows(world: World) -> None:
    nodes = world.network(5, params=FEW)
    drawn = 0

    def rows() -> Iterator[tuple[bytes, bytes]]:
        nonlocal drawn
        for drawn in range(1, 9):  # counts them
            yield sha1(str(drawn)), bytes(3_000_000)

    run = nodes[0].add_many(rows())
    assert next(run).error is not None  # too large
    assert drawn == 3
    assert len(list(run)) == 7


def test_closed_iterator(world: World) -> None:
    nodes = world.network(5, params=FEW)
    run = nodes[0].add_many(ROWS)
    next(run)
    run.close()
    run.close()
    assert len(list(run)) < len(ROWS)


def test_closed_node(world: World) -> None:
    nodes = world.network(5, params=FEW)
    gevent.spawn_later(0.1, nodes[0].close)
    with pytest.raises(NodeClosed):
        list(nodes[0].add_many(ROWS))


def test_interrupted_iterator_goes_on(world: World) -> None:
    nodes = world.network(20, params=FEW)
    run, keys, interruptions = nodes[0].add_many(ROWS), [], 0
    while len(keys) < len(ROWS):
        try:
            with gevent.Timeout(0.05):
                keys.extend(result.key for result in run)
        except gevent.Timeout:
            interruptions += 1
    assert interruptions > 1
    assert run.report.succeeded == len(ROWS)
    assert all(holders(nodes, key) == closest(nodes, key, 4) for key, _ in ROWS)


def test_dropped_iterator_ends_the_work(world: World) -> None:
    nodes = world.network(5, params=FEW)
    rows = [(sha1(f"row {number}"), b"value") for number in range(1_500)]
    run = nodes[0].add_many(rows)
    next(run)
    del run
    gevent.sleep(60)
    assert sum(bool(holders(nodes, key)) for key, _ in rows) < 1_000


def test_items_that_raise(world: World) -> None:
    def rows() -> Iterator[tuple[bytes, bytes]]:
        yield from ROWS[:9]
        raise LookupError

    run = world.alice.add_many(rows())
    with pytest.raises(LookupError):
        next(run)
    assert len(list(run)) == 9


def test_pairs_may_be_lists(world: World) -> None:
    rows = [list(row) for row in ROWS[:9]] * 2
    assert len(list(world.alice.add_many(rows))) == 18  # type: ignore[arg-type]


# Several stores in a request.


def test_holders_get_several_values_in_a_request(world: World) -> None:
    nodes = world.network(40, params=FEW)
    run = nodes[0].add_many(ROWS)
    assert all(result.error is None for result in run)
    requests = nodes[5].stats()["requests_by_rpc"]
    assert requests["storemany"] < len(nodes[5].datastore) / 3
    assert "store" not in requests or requests["store"] < requests["storemany"]


def test_large_values_are_sent_alone(world: World) -> None:
    nodes = world.network(5, params=FEW)
    rows = [(key, bytes(5_000)) for key, _ in ROWS[:40]]
    assert all(result.error is None for result in nodes[0].add_many(rows))
    assert nodes[1].stats()["requests_by_rpc"].get("storemany", 0) == 0


def test_peers_without_storemany_get_single_stores(world: World) -> None:
    peer = world.peer()
    node = world.node(peer.contact.endpoint, params=FEW)

    def answer(request: Request) -> bytes | None:
        if request.name != b"storemany":
            return empty_v11_peer(request)
        error = packets.encode_error(peer.id, request.rpc_id, packets.NO_SUCH_RPC)
        peer.send(error, node.contact.endpoint)
        return None

    peer.serve(answer)
    assert node.wait_joined(30)
    results = list(node.add_many(ROWS[:100]))
    assert all(peer.contact in result.report.acknowledged for result in results if result.report)
    served = requests_served(peer)
    assert served.count("store") == 100
    assert served.count("storemany") <= 16  # one for each part that is sent at the same time


def test_v10_peers_get_single_stores(world: World) -> None:
    peer = world.peer()
    peer.serve(
        lambda request: replies.STORE_OK if request.name == b"store" else empty_v10_peer(request)
    )
    node = world.node(peer.contact.endpoint, params=FEW)
    assert node.wait_joined(30)
    list(node.add_many(ROWS[:100]))
    assert "storemany" not in requests_served(peer)
    assert requests_served(peer).count("store") == 100


def test_malformed_reply_is_a_refusal(world: World) -> None:
    peer = world.peer()
    peer.serve(empty_v11_peer)
    node = world.node(peer.contact.endpoint, params=FEW, read_only=True)
    assert node.wait_joined(30)
    results = list(node.add_many(ROWS[:100]))
    assert all(result.report and result.report.refused for result in results)
