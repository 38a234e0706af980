"""Early stores: an add stores its value while the lookup of the replicas continues."""

from __future__ import annotations

import random

import gevent
import pytest

from kademlua import Contact, Node, Params, sha1
from kademlua.core.ids import from_int, to_int, xor
from kademlua.core.routing.diversity import IdDensity
from kademlua.core.wire import packets, replies, store_contacts
from kademlua.core.wire.packets import Request
from tests.support.world import RTT, World

OPERATIONS = 200
KEY = sha1("key")


def settled(world: World, count: int, replicas: int) -> list[Node]:
    """A network whose nodes know its size."""
    nodes = world.network(count, params=Params(replicas=replicas))
    gevent.sleep(600)
    return nodes


def replicas_of(nodes: list[Node], key: bytes, count: int) -> set[bytes]:
    """The ids of the nodes closest to a key."""
    by_distance = sorted(node.id for node in nodes)
    by_distance.sort(key=lambda each: to_int(each) ^ to_int(key))
    return set(by_distance[:count])


@pytest.mark.parametrize(("replicas", "rpcs"), [(8, 11.8), (20, 26)])
def test_add_costs_few_more_rpcs_than_stores(world: World, replicas: int, rpcs: float) -> None:
    """Without the pings of upkeep; a lookup and stores afterwards take 14 and 31."""
    nodes, chance = settled(world, 100, replicas), random.Random(1)
    before = _stores_and_queries(nodes)
    started_at, holders, missing = world.now, 0, 0
    for number in range(OPERATIONS):
        key = sha1(f"key {number}")
        report = chance.choice(nodes).add(key, b"v" * 100)
        assert len(report.acknowledged) == replicas
        having = {node.id for node in nodes if node.datastore.count(key)}
        missing += len(replicas_of(nodes, key, replicas) - having)
        holders += len(having)
    assert (_stores_and_queries(nodes) - before) / OPERATIONS <= rpcs
    assert world.now - started_at <= 3.5 * RTT * OPERATIONS
    assert missing == 0
    assert holders <= 1.01 * replicas * OPERATIONS


def _stores_and_queries(nodes: list[Node]) -> int:
    return sum(node.stats()["calls_by_purpose"].get("store", 0) for node in nodes)


# What a contact is sent.


class Holder:
    """A scripted peer that stores; ``names`` are the contacts in its replies."""

    def __init__(self, world: World, distance: int, names: list[Contact] | None = None) -> None:
        self.names = names or []
        self.store_reply = replies.STORE_OK
        self.knows_closest = True
        self.peer = world.peer(xor(KEY, from_int(distance)))
        self.peer.serve(self._answer)

    def meet(self, node: Node, *, is_validated: bool = True) -> None:
        """Reply to the node, and perhaps have it reply."""
        node.ping(self.peer.contact.endpoint)
        if is_validated:
            payload = packets.encode_request_payload(b"ping", b"", read_only=False)
            self.peer.request(node.contact.endpoint, payload)
            gevent.sleep(RTT)
        self.peer.requests.clear()

    def delay_answers(self, node: Node, seconds: float) -> None:
        """Answer each request of the node that late from now on."""

        def answer_later(request: Request) -> None:
            reply = packets.encode_response(self.peer.id, request.rpc_id, self._answer(request))
            gevent.spawn_later(seconds, self.peer.send, reply, node.contact.endpoint)

        self.peer.serve(answer_later)

    @property
    def received(self) -> list[str]:
        """The names of the requests since then."""
        return [each.name.decode() for each in self.peer.requests]

    def _answer(self, request: Request) -> bytes:
        if request.name == b"store":
            wants = len(request.args) > 5 and b"closest" in request.args[5]
            if wants and self.knows_closest:
                return store_contacts.with_contacts(self.store_reply, self.names)
            return self.store_reply
        if request.name == b"findnode":
            return replies.encode_findnode_reply(self.names, 1, b"a-token!")
        return replies.PONG


def sized(world: World, *, is_size_known: bool = True) -> Node:
    """A node that knows that the network has a thousand nodes."""
    node = world.node(params=Params(replicas=8))
    if is_size_known:
        node.services.context.table.density = IdDensity(1000, 4)
    return node


def test_client_that_has_just_joined_soon_sends_few_queries(world: World) -> None:
    """Its own lookups tell it the size of the network, its stores prove its address to holders."""
    client = world.network(60, params=Params(replicas=8))[-1]
    queries, stores = 0, 0
    for number in range(30):
        before = client.stats()["calls_by_rpc"].copy()
        assert len(client.add(sha1(f"key {number}"), b"v").acknowledged) == 8
        after = client.stats()["calls_by_rpc"]
        if number >= 10:
            queries += after["findnode"] - before["findnode"]
            stores += after["store"] - before["store"]
    assert queries <= 2.5 * 20
    assert stores <= 8.5 * 20


def test_accepted_token_proves_the_address_for_other_keys(world: World) -> None:
    node, holder = sized(world), Holder(world, 1)
    holder.meet(node, is_validated=False)
    node.add(KEY, b"v")
    assert holder.received == ["findnode", "store"]
    holder.peer.requests.clear()
    node.add(xor(KEY, from_int(2)), b"v")
    assert holder.received == ["store"]


def test_certain_replica_gets_the_store_in_place_of_a_query(world: World) -> None:
    node, holder = sized(world), Holder(world, 1)
    holder.meet(node)
    assert holder.peer.contact in node.add(KEY, b"v").acknowledged
    assert holder.received == ["store"]


def test_first_store_at_a_contact_outside_the_table_proves_the_address(world: World) -> None:
    node = world.node(id=xor(KEY, from_int(1 << 159)), params=Params(replicas=8, k=4))
    node.services.context.table.density = IdDensity(1000, 4)
    gap = (1 << 160) // 1000
    outside = Holder(world, 5 * gap)
    inside = [Holder(world, number * gap, [outside.peer.contact]) for number in range(1, 5)]
    for each in (*inside, outside):
        each.meet(node)
    assert outside.peer.contact not in node.table
    node.add(KEY, b"v")
    assert outside.received == ["store"]
    assert node.services.liveliness.is_validated_at(outside.peer.contact)


def test_without_the_size_of_the_network_the_query_comes_first(world: World) -> None:
    node, holder = sized(world, is_size_known=False), Holder(world, 1)
    holder.meet(node)
    assert holder.peer.contact in node.add(KEY, b"v").acknowledged
    assert holder.received == ["findnode", "store"]


def test_contact_too_far_to_be_certain_is_queried_first(world: World) -> None:
    node, holder = sized(world), Holder(world, 1 << 158)
    holder.meet(node)
    assert holder.peer.contact in node.add(KEY, b"v").acknowledged
    assert holder.received == ["findnode", "store"]


def test_contact_that_may_not_know_this_address_gives_a_token_first(world: World) -> None:
    node, holder = sized(world), Holder(world, 1)
    holder.meet(node, is_validated=False)
    assert holder.peer.contact in node.add(KEY, b"v").acknowledged
    assert holder.received == ["findnode", "store"]
    assert holder.peer.requests[-1].args[3] == b"a-token!"


def test_contact_named_in_a_store_reply_gets_no_value_before_it_replies(world: World) -> None:
    node, stranger = sized(world), Holder(world, 2)
    holder = Holder(world, 1, names=[stranger.peer.contact])
    holder.meet(node)
    report = node.add(KEY, b"v")
    assert {holder.peer.contact, stranger.peer.contact} <= set(report.acknowledged)
    assert (holder.received, stranger.received) == (["store"], ["findnode", "store"])


def test_older_holder_that_names_no_contacts_is_queried_too(world: World) -> None:
    node, other = sized(world), Holder(world, 2)
    holder = Holder(world, 1, names=[other.peer.contact])
    holder.knows_closest = False
    holder.meet(node)
    report = node.add(KEY, b"v")
    assert report.acknowledged.count(holder.peer.contact) == 1
    assert other.peer.contact in report.acknowledged
    assert holder.received == ["store", "findnode"]


def test_contact_known_as_1_0_is_queried_first(world: World) -> None:
    node, holder = sized(world), Holder(world, 1)
    holder.meet(node)
    node.services.liveliness.versions.record_form(holder.peer.contact, is_v10=True, listed=[])
    assert node.services.liveliness.versions.is_v10(holder.peer.contact)
    assert holder.peer.contact in node.add(KEY, b"v").acknowledged
    assert holder.received == ["findnode", "store"]


def test_early_refusal_is_in_the_report(world: World) -> None:
    node, holder = sized(world), Holder(world, 1)
    holder.store_reply = replies.encode_refused_reply("is full")
    holder.meet(node)
    assert (holder.peer.contact, "is full") in node.add(KEY, b"v").refused


def test_holder_that_turns_out_too_far_does_not_count(world: World) -> None:
    node = sized(world)
    gap = (1 << 160) // 2000  # twice as dense as expected
    nearer = [Holder(world, number * gap) for number in range(1, 9)]
    holder = Holder(world, 9 * gap, names=[each.peer.contact for each in nearer])
    holder.meet(node)
    report = node.add(KEY, b"v")
    assert holder.received == ["store"]
    assert set(report.acknowledged) == {each.peer.contact for each in nearer}


def test_store_that_waits_for_a_disk_is_not_sent_again() -> None:
    """A holder acknowledges a value when its disk has it, some milliseconds later."""
    world = World(1, one_way=0.0001)

    def test() -> None:
        node, holder = sized(world), Holder(world, 1)
        holder.meet(node)
        for _ in range(20):
            node.ping(holder.peer.contact)
        holder.delay_answers(node, 0.004)
        holder.peer.requests.clear()
        assert holder.peer.contact in node.add(KEY, b"v").acknowledged
        assert holder.received == ["store"]

    world.run(test)
