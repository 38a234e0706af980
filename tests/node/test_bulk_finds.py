"""Finding many keys in a network: several keys in a request."""

from __future__ import annotations

from typing import Any

import gevent

from kademlua import Node, Params, sha1
from kademlua.core.wire import find_many, packets
from kademlua.core.wire.packets import Request
from tests.support.peers import empty_v10_peer, empty_v11_peer, requests_served
from tests.support.world import World

FEW = Params(k=8, replicas=4)
ROWS = [(sha1(f"key {number}"), b"value %d" % number) for number in range(300)]
KEYS = [key for key, _ in ROWS]


def network(world: World, count: int = 40) -> list[Node]:
    nodes = world.network(count, params=FEW)
    assert all(result.error is None for result in nodes[0].add_many(ROWS))
    return nodes


def values_of(run: Any) -> dict[bytes, list[Any]]:
    return {
        result.key: [value for each in result.answers for value in each.values] for result in run
    }


def test_keys_share_lookups_and_requests(world: World) -> None:
    nodes = network(world)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    run = client.find_many(KEYS)
    assert values_of(run) == {key: [value] * 3 for key, value in ROWS}
    assert 0 < run.report.lookups < 25
    assert run.report.requests < len(KEYS)
    calls = client.stats()["calls_by_rpc"]
    assert "findvalue" not in calls
    assert calls["findmany"] < 2 * len(KEYS) / 3


def test_finds_use_what_stores_looked_up(world: World) -> None:
    nodes = world.network(40, params=FEW)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    assert all(result.error is None for result in client.add_many(ROWS))
    run = client.find_many(KEYS, 1)
    assert len(values_of(run)) == len(KEYS)
    assert run.report.lookups == 0


def test_values_of_this_node_are_found(world: World) -> None:
    nodes = network(world, 3)
    found = {result.key: result.answers for result in nodes[1].find_many(KEYS, 1)}
    assert all(answers[0].contact == nodes[1].contact for answers in found.values())


def test_missing_keys_are_reported(world: World) -> None:
    nodes = network(world)
    missing = [sha1(f"missing {number}") for number in range(100)]
    found = values_of(nodes[5].find_many([*missing, *KEYS], 1))
    assert all(found[key] == [] for key in missing)
    assert all(found[key] == [value] for key, value in ROWS)


def test_key_that_is_wanted_twice_has_two_results(world: World) -> None:
    nodes = network(world, 5)
    assert sorted(result.key for result in nodes[1].find_many([*KEYS, KEYS[0]])) == sorted(
        [*KEYS, KEYS[0]]
    )


def test_large_values_are_found_alone(world: World) -> None:
    nodes = world.network(10, params=FEW)
    rows = {key: bytes([number]) * 5_000 for number, key in enumerate(KEYS[:60])}
    rows[KEYS[100]] = b"small"
    assert all(result.error is None for result in nodes[0].add_many(rows.items()))
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    assert values_of(client.find_many(rows, 1)) == {key: [value] for key, value in rows.items()}


def test_key_with_many_values(world: World) -> None:
    nodes = world.network(40, params=FEW)
    for node in nodes[1:36]:
        node.add(KEYS[0], node.id)
    list(nodes[0].add_many(ROWS[1:]))
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    found = values_of(client.find_many(KEYS, 1))
    assert sorted(found[KEYS[0]]) == sorted(node.id for node in nodes[1:36])


def test_dead_holders(world: World) -> None:
    nodes = network(world)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    list(client.find_many(KEYS, 1))  # looks up the holders
    for node in nodes[30:]:
        node.close(hand_over=False)
    found = values_of(client.find_many(KEYS, 1))
    assert sum(bool(values) for values in found.values()) > 0.97 * len(KEYS)  # others are lost


def test_replicas_without_a_value_get_it(world: World) -> None:
    nodes = network(world)
    closest = nodes[3]
    lacking = [key for key in KEYS if closest.datastore.count(key)]
    for key in lacking:
        for owner in closest.datastore.owners(key):
            closest.datastore.remove(key, owner)
    client = world.node(nodes[0], params=FEW, read_only=True)
    assert client.wait_joined(30)
    list(client.find_many(KEYS, 3))
    gevent.sleep(30)
    assert sum(bool(closest.datastore.count(key)) for key in lacking) > len(lacking) / 4


def test_peers_without_findmany_get_single_finds(world: World) -> None:
    peer = world.peer()
    node = world.node(peer.contact.endpoint, params=FEW, read_only=True)

    def answer(request: Request) -> bytes | None:
        if request.name == b"findvalue":
            return b"ld7:closest0:6:retvall5:helloeee"
        if request.name != b"findmany":
            return empty_v11_peer(request)
        error = packets.encode_error(peer.id, request.rpc_id, packets.NO_SUCH_RPC)
        peer.send(error, node.contact.endpoint)
        return None

    peer.serve(answer)
    assert node.wait_joined(30)
    found = values_of(node.find_many(KEYS[:100], 1))
    assert found == {key: [b"hello"] for key in KEYS[:100]}
    assert requests_served(peer).count("findvalue") == 100
    assert requests_served(peer).count("findmany") <= 16  # one for each part at the same time


def test_v10_peers_get_single_finds(world: World) -> None:
    peer = world.peer()
    peer.serve(empty_v10_peer)
    node = world.node(peer.contact.endpoint, params=FEW)
    assert node.wait_joined(30)
    assert not any(values_of(node.find_many(KEYS[:100], 1)).values())
    assert "findmany" not in requests_served(peer)
    assert requests_served(peer).count("findvalue") == 100


def test_malformed_replies_lead_to_single_finds(world: World) -> None:
    peer = world.peer()

    def answer(request: Request) -> bytes:
        if request.name == b"findvalue":
            return b"ld7:closest0:6:retvall5:helloeee"
        return empty_v11_peer(request)  # of findnode

    peer.serve(answer)
    node = world.node(peer.contact.endpoint, params=FEW, read_only=True)
    assert node.wait_joined(30)
    found = values_of(node.find_many(KEYS[:100], 1))
    assert found == {key: [b"hello"] for key in KEYS[:100]}


def test_holder_that_claims_to_have_too_many_values_costs_little(world: World) -> None:
    nodes, peer = network(world, 8), world.peer()

    def answer(request: Request) -> bytes:
        if request.name != b"findmany":
            return empty_v11_peer(request)
        return find_many.encode_reply([None] * (len(request.args[1]) // 20))

    peer.serve(answer)
    client = world.node(peer.contact.endpoint, params=FEW, read_only=True)
    client.add_peers([nodes[0].contact.endpoint])
    assert client.wait_joined(30)
    gevent.sleep(60)
    found = values_of(client.find_many(KEYS, 1))
    assert all(set(found[key]) == {value} for key, value in ROWS)
    assert requests_served(peer).count("findmany") > 10
    assert "findvalue" not in client.stats()["calls_by_rpc"]
