"""Published values, and removal of values."""

from collections.abc import Callable, Iterator

import gevent
import pytest

from kademlua import Node, Params, Publication, StorageError, StoreFailed, sha1
from kademlua.core.wire import packets, replies, requests
from tests.replication.test_replicator import TICK, by_distance, holders
from tests.support.world import World

KEY = sha1("key")
FEW = Params(replicas=4)


class Saved:
    """What outlasts a node, in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, Publication] = {}
        self.fails = ""
        self.at = 0.0

    def __iter__(self) -> Iterator[Publication]:
        return iter(list(self.rows.values()))

    def put(self, publication: Publication) -> None:
        self.rows[publication.key] = publication

    def remove(self, key: bytes) -> bool:
        return self.rows.pop(key, None) is not None

    def swept_at(self) -> float:
        return self.at

    def save_swept_at(self, at: float) -> None:
        self.at = at

    def when_durable(self, callback: Callable[[str | None], None]) -> None:
        gevent.spawn_later(0.1, callback, self.fails or None)


def test_published_value_is_renewed(world: World) -> None:
    nodes = world.network(5)
    report = nodes[0].publish(KEY, b"v", ttl=100)
    assert len(report.acknowledged) == 5
    [publication] = nodes[0].published()
    assert publication[:3] == (KEY, b"1:v", 100)
    assert publication.value == b"v"
    gevent.sleep(1000)
    assert nodes[3].find_value(KEY)[0].values == [b"v"]
    assert nodes[0].unpublish(KEY)
    assert not nodes[0].unpublish(KEY)
    gevent.sleep(101 + TICK)
    assert not holders(nodes)


def test_published_value_is_republished_after_half_its_ttl_at_most(world: World) -> None:
    nodes = world.network(2)
    gevent.sleep(2 * TICK)
    nodes[0].publish(KEY, b"v", ttl=1000)
    gevent.sleep(250 - TICK)
    assert nodes[0].stats()["calls_by_rpc"]["store"] == 1
    gevent.sleep(250 + 2 * TICK)
    assert nodes[0].stats()["calls_by_rpc"]["store"] == 2


@pytest.mark.parametrize("ttl", [2, 7, 30])
def test_short_ttl_is_renewed_in_time(world: World, ttl: int) -> None:
    """Also where it is over before the next round of upkeep."""
    nodes = world.network(5)
    nodes[0].publish(KEY, b"v", ttl=ttl)
    for _ in range(120):
        gevent.sleep(0.5)
        assert len(holders(nodes)) == 5
        assert nodes[1].find_value(KEY)
    nodes[0].unpublish(KEY)
    gevent.sleep(ttl + TICK)
    assert not holders(nodes)


def test_publications_outlast_their_process(world: World) -> None:
    nodes, saved = world.network(5), Saved()
    node = world.node(nodes[0], publication_store=saved)
    node.wait_joined()
    node.publish(KEY, b"v", ttl=100)
    node.close()
    gevent.sleep(200)
    assert not holders(nodes)
    again = world.node(nodes[0], publication_store=saved, id=node.id)
    again.wait_joined()
    gevent.sleep(TICK)
    assert len(holders(nodes)) == 5
    again.unpublish(KEY)
    assert saved.rows == {}


def test_publication_that_cannot_be_saved_fails(world: World) -> None:
    nodes, saved = world.network(3), Saved()
    node = world.node(nodes[0], publication_store=saved)
    node.wait_joined()
    saved.fails = "the disk is full"
    with pytest.raises(StorageError, match="the publication could not be saved: the disk is full"):
        node.publish(KEY, b"v")
    assert node.published() == []


def test_value_that_cannot_be_stored_is_not_published(world: World) -> None:
    node = world.node(params=Params(max_entries=0))
    with pytest.raises(StoreFailed):
        node.publish(KEY, b"v")
    assert node.published() == []


def test_too_few_replicas_fail_with_a_report(world: World) -> None:
    nodes = world.network(3, params=Params(write_quorum=4))
    with pytest.raises(
        StoreFailed, match="only 3 nodes stored the value: no other node was found"
    ) as no:
        nodes[0].add(KEY, b"v")
    assert len(no.value.report.acknowledged) == 3  # type: ignore[attr-defined]


def test_removed_value_is_gone_from_all_replicas(world: World) -> None:
    nodes = world.network(10, params=FEW)
    nodes[0].publish(KEY, b"v")
    nodes[1].add(KEY, b"other")
    report = nodes[0].remove(KEY)
    assert len(report.acknowledged) == 4  # those that removed a value
    assert len(report.acknowledged + report.refused) >= 8  # twice as many as should hold it
    assert nodes[0].published() == []
    for node in nodes:
        assert [owner for owner, _ in node.datastore.entries(KEY)] in ([], [nodes[1].contact])
    gevent.sleep(3 * 3600)
    assert {answer.values[0] for answer in nodes[2].find_value(KEY, max_nodes=9)} == {b"other"}


def test_replication_does_not_bring_it_back(world: World) -> None:
    """A holder that could not be reached then hands it on in vain, and learns of it."""
    nodes = world.network(10, params=FEW)
    nodes[0].add(KEY, b"v", ttl=20_000)
    gevent.sleep(70)
    ordered = [node for node in by_distance(nodes) if node is not nodes[0]]
    deaf = ordered[1]
    world.net.pause(deaf.contact.endpoint)
    nodes[0].remove(KEY)
    world.net.resume(deaf.contact.endpoint)
    assert holders(nodes) == [deaf]
    gevent.sleep(2 * 3600)
    assert holders(nodes) == []
    # Its owner may store it anew.
    nodes[0].add(KEY, b"again")
    assert len(holders(nodes)) == 4


def test_report_of_a_remove_shows_peers_that_have_no_such_rpc(world: World) -> None:
    node, old = world.alice, world.peer()
    caller = gevent.spawn(node.ping, old.contact)
    request = old.receive()
    old.send(packets.encode_response(old.id, request.rpc_id, b"li5ee"), node.contact.endpoint)
    caller.get()
    node.services.liveliness.versions.mark_v10(old.id)
    remover = gevent.spawn(node.remove, KEY)
    while (request := old.receive()).name != b"remove":
        old.send(packets.encode_response(old.id, request.rpc_id, b"llee"), node.contact.endpoint)
    old.send(packets.encode_error(old.id, request.rpc_id, 130), node.contact.endpoint)
    with pytest.raises(StoreFailed) as caught:
        remover.get()
    [(contact, reason)] = caught.value.report.refused
    assert contact == old.contact
    assert "130" in reason


def test_value_of_another_owner_cannot_be_removed(world: World) -> None:
    node, owner, thief = world.alice, world.peer(), world.peer()
    store = packets.encode_request_payload(
        b"store",
        requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 60)),
        read_only=False,
    )
    remove = packets.encode_request_payload(
        b"remove", requests.encode_remove_args(requests.RemoveArguments(KEY, 60)), read_only=False
    )
    owner.call(node.contact.endpoint, store)
    assert thief.call(node.contact.endpoint, remove).payload == replies.REMOVE_NOT_FOUND
    assert node.datastore.entries(KEY)
    assert owner.call(node.contact.endpoint, remove).payload == replies.REMOVE_OK
    assert not node.datastore.entries(KEY)
    handed_on = requests.encode_store_args(
        requests.StoreArguments(KEY, b"1:v", 60, owner=owner.contact)
    )
    answer = thief.call(
        node.contact.endpoint, packets.encode_request_payload(b"store", handed_on, read_only=False)
    )
    refusal = replies.decode_store_reply(packets.decode_values(answer.payload))
    assert refusal == (replies.REASON_REMOVED, 0)
    gevent.sleep(61)  # the tombstone ends with the value
    answer = thief.call(
        node.contact.endpoint, packets.encode_request_payload(b"store", handed_on, read_only=False)
    )
    assert answer.payload == replies.STORE_OK


@pytest.mark.parametrize("args", [b"", b"i1e", b"20:" + KEY + b"i-1e", b"20:" + KEY + b"1:x"])
def test_a_remove_that_makes_no_sense_raises(world: World, args: bytes) -> None:
    request = packets.encode_request_payload(b"remove", args, read_only=False)
    assert (
        world.peer().call(world.alice.contact.endpoint, request).packet_type == packets.RPC_RAISED
    )


def test_malicious_node_cannot_remove_a_value(world: World) -> None:
    """One who says that the owner removed the value is believed only with most of the others."""
    nodes = world.network(6, params=FEW)
    liar = world.peer(KEY[:19] + b"x")
    removed = replies.encode_refused_reply(replies.REASON_REMOVED)
    liar.serve(
        lambda request: (
            removed
            if request.name == b"store"
            else b"li5ee"
            if request.name == b"ping"
            else b"ld7:closest0:ee"
        )
    )
    nodes[0].add(KEY, b"v")
    for node in nodes:
        node.ping(liar.contact)
    gevent.sleep(3 * 3600)
    assert isinstance(holders(nodes)[0], Node)
    assert len(holders(nodes)) >= 3


def test_value_at_v10_holders_is_renewed_before_they_forget_it(world: World) -> None:
    node, original = world.alice, world.peer()
    original.serve(
        lambda request: {b"ping": b"li5ee", b"findnode": b"llee", b"store": b"li1ee"}[request.name]
    )
    original.request(node.contact.endpoint, b"d4:name4:ping4:argslee")  # without a version
    gevent.sleep(1)
    node.publish(KEY, b"v", ttl=86_400)
    gevent.sleep(600)
    stores = [request for request in original.requests if request.name == b"store"]
    assert len(stores) >= 600 / 31
