"""Hostile nodes: their replies, their presence in routing tables, and the defences."""

from __future__ import annotations

import dataclasses
import random
from ipaddress import ip_address

import pytest

from kademlua import Params
from kademlua.core.contact import ALL_FAMILIES, Contact, ContactPool, Endpoint
from kademlua.core.errors import WireError
from kademlua.core.ids import ID_BITS, random_id, to_int
from kademlua.core.routing.table import RoutingTable
from kademlua.core.wire import packets, replies, requests
from kademlua.core.wire.packets import Response
from kademlua.simulation.network import addresses
from kademlua.simulation.network.adversaries import Attackers, HostileTransport, id_near
from kademlua.simulation.nodes.population import Population
from kademlua.simulation.runner import run
from kademlua.simulation.scenario.scenario import (
    BEHAVIOURS,
    HostileSettings,
    NetworkSettings,
    SybilSettings,
    WorkloadSettings,
)
from tests.simulation.small import make_scenario, with_population

KEY = random_id(random.Random(1))
REQUESTER: Endpoint = ("192.0.2.1", 4000)
NO_LIMITS = Params(
    subnet_limit_bucket=1_000_000,
    subnet_limit_table=1_000_000,
    subnet_limit_lookup=1_000_000,
    max_id_density=1e9,
)


# Replies.


class Wire:
    """A transport that records what is sent."""

    local_endpoint: Endpoint = ("192.0.2.9", 4000)
    supports_ipv4, supports_ipv6, is_backlogged = True, False, False

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def start(self, receive: object) -> None:
        self.receive = receive

    def send(self, datagram: bytes, endpoint: Endpoint) -> bool:
        self.sent.append(datagram)
        return True

    def has_unread(self) -> bool:
        return False

    def discard_backlog(self) -> int:
        return 0

    def close(self) -> None:
        pass


class HostilePeer:
    """A hostile node, and requests to it."""

    def __init__(self, behaviour: str) -> None:
        rng = random.Random(2)
        pool = ContactPool()
        self.attackers = Attackers(pool)
        for number in range(40):
            self.attackers.add(random_id(rng), addresses.address_in_subnet(number, 0))
        self.wire = Wire()
        self.transport = HostileTransport(self.wire, behaviour, self.attackers, random_id(rng), rng)
        self.forwarded: list[bytes] = []
        self.transport.start(lambda datagram, endpoint: self.forwarded.append(datagram))
        table = self.transport.table = RoutingTable(self.transport.id, 20, 0.0)
        for number in range(40):
            table.on_reply(Contact(addresses.public_address(number), 4000, random_id(rng)), 0.0)

    def request(self, name: str, args: bytes) -> list[object] | None:
        """Return the values of the reply; None if the request is left to the real node."""
        payload = packets.encode_request_payload(name.encode(), args, read_only=False)
        datagram = packets.encode_request(random_id(random.Random(3)), bytes(8), payload)
        self.wire.sent.clear()
        self.forwarded.clear()
        self.wire.receive(datagram, REQUESTER)
        if self.forwarded:
            assert not self.wire.sent
            return None
        packet = packets.decode(self.wire.sent[0])
        assert isinstance(packet, Response)
        assert packet.sender_id == self.transport.id
        return packets.decode_values(packet.payload)

    def contacts(self, name: str = "findvalue") -> list[Contact]:
        args = (
            requests.encode_key_args(KEY)
            if name == "findnode"
            else requests.encode_findvalue_args(KEY, 3)
        )
        values = self.request(name, args)
        assert values is not None
        return replies.decode_findnode_reply(values, ContactPool(), ALL_FAMILIES)

    def values(self) -> list[object]:
        values = self.request("findvalue", requests.encode_findvalue_args(KEY, 3))
        assert values is not None
        return replies.decode_retval(values)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_pings_reach_the_node_and_stores_are_acknowledged_but_not_kept(
    behaviour: str,
) -> None:
    peer = HostilePeer(behaviour)
    assert peer.request("ping", b"") is None
    assert peer.request(
        "store", requests.encode_store_args(requests.StoreArguments(KEY, b"1:v", 60))
    ) == [1]


@pytest.mark.parametrize("name", ["findnode", "findvalue"])
def test_collude(name: str) -> None:
    peer = HostilePeer("collude")
    contacts = peer.contacts(name)
    assert len(contacts) == 20
    assert all(contact in peer.attackers for contact in contacts)


@pytest.mark.parametrize("name", ["findnode", "findvalue"])
def test_dead(name: str) -> None:
    contacts = HostilePeer("dead").contacts(name)
    assert len(contacts) == 20
    assert all(contact.id_int ^ to_int(KEY) < 1 << ID_BITS - 24 for contact in contacts)


def test_corrupt_returns_what_was_stored_with_one_bit_changed() -> None:
    peer = HostilePeer("corrupt")
    assert peer.values() == []
    store = requests.StoreArguments(KEY, b"5:hello", 60)
    assert peer.request("store", requests.encode_store_args(store)) == [1]
    assert peer.values() == [b"helln"]
    assert len(peer.contacts()) == 20


def test_garbage_replies_are_malformed_or_false() -> None:
    peer, refused = HostilePeer("garbage"), 0
    for _ in range(40):
        try:
            for contact in peer.contacts():
                assert contact.endpoint == REQUESTER
        except WireError:
            refused += 1
    assert 10 < refused < 40


def test_deny_and_forge_return_true_contacts() -> None:
    for behaviour in ("deny", "forge"):
        peer = HostilePeer(behaviour)
        assert peer.transport.table is not None
        assert set(peer.contacts()) == set(peer.transport.table.closest(KEY, 20))
    assert HostilePeer("deny").values() == []
    assert HostilePeer("forge").values() == [b"forged"]


def test_swallow_leaves_lookups_to_the_node() -> None:
    peer = HostilePeer("swallow")
    assert peer.request("findnode", requests.encode_key_args(KEY)) is None
    assert peer.request("findvalue", requests.encode_findvalue_args(KEY, 3)) is None


# Addresses and ids.


def test_public_addresses_are_public_and_in_separate_networks() -> None:
    found = [addresses.public_address(number) for number in range(30_000)]
    assert all(ip_address(addr).is_global for addr in found)
    assert len({addr.rpartition(".")[0] for addr in found}) == len(found)


def test_sybils_share_networks_but_not_endpoints() -> None:
    found = [addresses.address_in_subnet(number % 3, number // 3) for number in range(3_000)]
    assert len(set(found)) == 3_000
    assert len({addr.rpartition(".")[0] for addr, _ in found}) == 3
    assert all(ip_address(addr).is_global for addr, _ in found)


def test_id_near_a_key_shares_its_prefix() -> None:
    rng = random.Random(1)
    for bits in (0, 8, 96):
        assert to_int(id_near(KEY, bits, rng)) ^ to_int(KEY) < 1 << ID_BITS - bits


# Populations.


def populated(**changes: object) -> Population:
    """Return the population of a scenario after all nodes have joined and settled."""
    scenario = make_scenario(settle=60.0, **changes)
    return with_population(lambda population, _: population, scenario)


def test_hostile_nodes_are_in_tables_but_not_in_live_members() -> None:
    population = populated(nodes=40, hostile=HostileSettings(share=0.3))
    assert 5 <= len(population.attackers) <= 20
    assert (
        len(population.live_members) == 40 - len(population.attackers) == len(population.live_ids)
    )
    assert not any(member.behaviour for member in population.live_members)
    nodes = [member.node for member in population.live_members if member.node is not None]
    known = [contact in population.attackers for node in nodes for contact in node.table]
    assert 0.1 < sum(known) / len(known) < 0.5


def test_hostile_nodes_do_not_change_the_ids_of_others() -> None:
    some = populated(hostile=HostileSettings(share=0.3))
    none = populated(hostile=HostileSettings(share=0.01))
    ids = {member.id for member in none.live_members}
    assert {member.id for member in some.live_members} < ids


def test_few_sybils_get_into_tables() -> None:
    sybils = SybilSettings(count=60, networks=1, join=20.0)
    population = populated(nodes=30, sybils=sybils)
    assert len(population.attackers) == 60
    for member in population.live_members:
        assert member.node is not None
        # They fill free slots near the key until they are denser than the network's size explains.
        assert sum(contact in population.attackers for contact in member.node.table) <= 4
    assert 0 < population.hostile_near_key() <= 0.2


# Defences.

WORKLOAD = WorkloadSettings(values=20, warm_up=20.0, finds=60, records=True, paths=4)


def test_records_are_found_with_a_third_of_nodes_hostile() -> None:
    result = run(
        make_scenario(settle=60.0, nodes=50, hostile=HostileSettings(share=0.3), workload=WORKLOAD),
        1,
    )
    assert result.packets["raised"] == result.unfinished == 0
    assert result.metrics["finds_many_paths"] == 1
    finds = result.metrics["finds_one_path"]
    assert finds is not None
    assert finds > 0.9
    shares = [sample.hostile_contacts for sample in result.samples]
    assert 0.1 < shares[-1] < 0.5


def eclipsed(networks: int, params: Params) -> float:
    """Return the share of successful finds for a key that Sybils surround."""
    scenario = make_scenario(
        settle=60.0,
        nodes=60,
        sybils=SybilSettings(count=120, networks=networks, join=20.0),
        network=NetworkSettings(latency="constant"),
        workload=dataclasses.replace(WORKLOAD, paths=1),
        params=params,
    )
    finds = run(scenario, 1).metrics["finds"]
    assert finds is not None
    return finds


@pytest.mark.parametrize("networks", [1, 40])
def test_eclipse_hides_many_values_without_limits(networks: int) -> None:
    assert eclipsed(networks, NO_LIMITS) < 0.75


def test_subnet_limits_defeat_an_eclipse_from_one_network() -> None:
    assert (
        eclipsed(
            1,
            NO_LIMITS.replace(subnet_limit_lookup=3, subnet_limit_bucket=2, subnet_limit_table=10),
        )
        == 1
    )


def test_density_limit_defeats_an_eclipse_from_many_networks() -> None:
    assert eclipsed(40, NO_LIMITS.replace(max_id_density=4)) > 0.95
