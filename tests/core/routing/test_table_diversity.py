"""Routing table under Sybil attack: limits per subnet and on the density of ids."""

from __future__ import annotations

import random

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits, IdDensity
from kademlua.core.routing.table import RoutingTable
from tests.core.strategies import make_contact

# Subnet and density limits.

CROWDS = DiversityLimits.from_params(Params(subnet_limit_table=5))


def test_subnet_is_limited_per_bucket_and_per_table():
    table = RoutingTable(bytes(20), 20, 0.0, DiversityLimits.from_params(Params()))
    for bit in range(159, 149, -1):
        for host in range(4):
            number = (1 << bit) + host
            table.on_reply(Contact(f"192.0.2.{bit}", host + 1, from_int(number)), 0.0)
        table.on_reply(make_contact((1 << bit) + 9), 0.0)
    ours = [contact for contact in table if contact.diversity_prefix == bytes([192, 0, 2])]
    assert len(table) - len(ours) == 10
    for bucket in table.buckets[:-1]:
        assert len(bucket.contacts) <= 3
    assert len(ours) <= 10


def test_contact_of_full_subnet_does_not_wait():
    table = RoutingTable(bytes(20), 20, 0.0, DiversityLimits.from_params(Params()))
    first, second, third = (
        Contact(f"192.0.2.{host}", 1, from_int((1 << 159) + host)) for host in (1, 2, 3)
    )
    for contact in (first, second, third):
        assert table.on_reply(contact, 0.0) is None
    assert list(table) == [first, second]
    assert not table.can_admit(third)
    table.remove(first)
    assert table.can_admit(third)
    table.on_reply(third, 1.0)
    assert list(table) == [second, third]


def test_private_addresses_are_exempt_unless_counted():
    for limits, count in (
        (CROWDS, 8),
        (DiversityLimits.from_params(Params(exempt_private=False)), 2),
    ):
        table = RoutingTable(bytes(20), 20, 0.0, limits)
        for host in range(8):
            table.on_reply(Contact("127.0.0.1", host + 1, from_int((1 << 159) + host)), 0.0)
        assert len(table) == count


def test_evenly_distributed_contacts_are_all_accepted():
    plain, wary = RoutingTable(bytes(20), 20, 0.0), RoutingTable(bytes(20), 20, 0.0)
    wary.density = IdDensity(1_000, 4)
    rng = random.Random(3)
    for _ in range(1_000):
        contact = make_contact(rng.getrandbits(160))
        for table in (plain, wary):
            table.on_reply(contact, 0.0)
    assert list(wary) == list(plain)


def test_dense_ids_near_the_local_id_are_limited():
    table = RoutingTable(bytes(20), 20, 0.0)
    table.density = IdDensity(1_000, 4)
    for number in range(1, 200):
        table.on_reply(make_contact(number), 0.0)
    assert len(table) == 4
    assert not table.has_space_for(from_int(7))
    far = make_contact(1 << 159)
    table.on_reply(far, 0.0)
    assert far in table


def test_dense_ids_near_another_id_are_limited():
    """Sybils beside another's id fill the one bucket that has it: then those would be all
    that this node tells of when asked for it."""
    table = RoutingTable(bytes(20), 20, 0.0)
    for number in range(40):
        table.on_reply(make_contact(number << 154), 0.0)
    table.density = IdDensity(1_000, 4)
    place = 1 << 149
    for number in range(100):
        table.on_reply(make_contact(place + number), 0.0)
    assert sum(contact.id_int >> 149 == 1 for contact in table) == 4
    assert len(table) > 20
