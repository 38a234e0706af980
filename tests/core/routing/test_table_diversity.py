"""Routing table under Sybil attack: limits per subnet and on the density of ids."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits, IdDensity
from kademlua.core.routing.table import RoutingTable
from tests.core.strategies import make_contact

LIMITS = DiversityLimits.from_params(Params())
TOP = 1 << 159


def crowd(count: int, subnet: str = "192.0.2", first: int = 1) -> list[Contact]:
    """Return contacts of one subnet for the first bucket of a table whose own id is 0."""
    return [
        Contact(f"{subnet}.{host}", 1, from_int(TOP + (int(subnet[-1]) << 20) + host))
        for host in range(first, first + count)
    ]


def strangers(count: int) -> list[Contact]:
    """Return contacts for the same bucket, each of a subnet of its own."""
    return [
        Contact(f"198.51.{host}.1", 1, from_int(TOP + (1 << 90) + host)) for host in range(count)
    ]


def table_of(contacts: Iterable[Contact], limits: DiversityLimits = LIMITS) -> RoutingTable:
    table = RoutingTable(bytes(20), 20, 0.0, limits)
    for now, contact in enumerate(contacts):
        table.on_reply(contact, float(now))
    return table


# Subnet limits.


@pytest.mark.parametrize("addr", ["203.0.113.{}", "2001:db8:7:{}::1"])
def test_network_in_one_subnet_has_the_tables_of_private_addresses(addr: str) -> None:
    rng = random.Random(5)
    ids = [rng.getrandbits(160) for _ in range(200)]
    tables = []
    for template in (addr, "10.0.0.{}"):
        contacts = [
            Contact(template.format(number), 1, from_int(each)) for number, each in enumerate(ids)
        ]
        tables.append([contact.id for contact in table_of(contacts)])
    assert tables[0] == tables[1]
    assert len(tables[0]) > 60


def test_crowded_contacts_fill_free_slots() -> None:
    contacts = crowd(12) + strangers(8)
    assert list(table_of(contacts)) == contacts


def test_crowded_contacts_yield_when_their_bucket_is_full() -> None:
    far, others, own = crowd(20), strangers(30), Contact("198.51.99.1", 1, from_int(1))
    table = table_of([own, *far, *others])
    inside = [each for each in table if each != own]
    assert [each for each in inside if each in far] == far[-2:]
    assert [each for each in inside if each in others] == others[:18]


def test_less_crowded_subnet_takes_slots_of_a_more_crowded_one() -> None:
    own = Contact("198.51.99.1", 1, from_int(1))
    one, other = crowd(20), crowd(20, "192.0.3")
    table = table_of([own, *one, *other])
    assert sum(each in one for each in table) == sum(each in other for each in table) == 10


def test_crowded_contact_does_not_displace_anything() -> None:
    own, others, late = Contact("198.51.99.1", 1, from_int(1)), strangers(18), crowd(30)
    table = table_of([own, *others, *late])
    assert set(table) == {own, *others, *late[:2]}
    assert not table.can_admit(late[2])
    assert table.can_admit(Contact("192.0.9.9", 1, from_int(9)))


def test_subnet_with_many_contacts_in_the_table_yields() -> None:
    """Two contacts of the subnet in each bucket are more than ten in the table."""
    spread = [
        Contact(f"192.0.2.{bit}", host, from_int((1 << bit) + host))
        for bit in range(159, 149, -1)
        for host in (1, 2)
    ]
    table = table_of([*spread, *strangers(18)])
    assert len(table) == 38
    newcomer = Contact("192.0.9.2", 1, from_int(TOP + 78))
    assert table.can_admit(newcomer)
    table.on_reply(newcomer, 99.0)
    assert newcomer in table
    assert [each for each in spread if each not in table] == [spread[0]]


def test_dead_contact_is_replaced_by_one_that_is_not_crowded() -> None:
    own, others = Contact("198.51.99.1", 1, from_int(1)), strangers(18)
    pair, waiting = crowd(2), crowd(5, first=3)
    rare = Contact("192.0.9.9", 1, from_int(TOP + 99))
    table = table_of([own, *others, *pair, rare, *waiting])
    assert table.remove(others[0]) == rare
    assert table.remove(others[1]) == waiting[-1]  # nothing else is left: it fills the slot


def test_crowded_contacts_leave_the_replacement_cache_first() -> None:
    own, full = Contact("198.51.99.1", 1, from_int(1)), strangers(38)
    table = table_of([own, *full[:20], *crowd(20), *full[20:]])
    waiting = list(table.buckets[0].replacements.values())
    assert sum(each in full for each in waiting) == 18
    assert len(waiting) == 20


def test_private_addresses_are_exempt_unless_counted() -> None:
    private = [Contact("127.0.0.1", host + 1, from_int(TOP + host)) for host in range(20)]
    newcomer = Contact("192.0.9.9", 1, from_int(TOP + 99))
    counted = DiversityLimits.from_params(Params(exempt_private=False))
    for limits, is_admitted in ((LIMITS, False), (counted, True)):
        table = table_of([*private, Contact("192.0.8.8", 1, from_int(1))], limits)
        assert table.can_admit(newcomer) == is_admitted


def test_private_network_has_no_subnet_limits() -> None:
    limits = DiversityLimits.from_params(Params(exempt_private=False), is_private_network=True)
    table = table_of([*crowd(20), Contact("198.51.99.1", 1, from_int(1))], limits)
    assert not table.can_admit(Contact("192.0.9.9", 1, from_int(TOP + 99)))


# Density limits.


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
