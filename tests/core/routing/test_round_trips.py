"""Contacts with short round trips in full buckets (proximity neighbor selection)."""

from __future__ import annotations

import math
import random

import pytest

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.params import Params
from kademlua.core.routing.diversity import UNLIMITED, DiversityLimits
from kademlua.core.routing.selection import NEAR_BUCKETS
from kademlua.core.routing.table import RoutingTable
from tests.core.routing.tables import OWN, TOP, far, held, waiting
from tests.core.strategies import make_contact

K = 4


def add(table: RoutingTable, contact: Contact, now: float, rtt: float) -> None:
    """Let a contact reply after ``rtt`` seconds, as the node that owns the table does."""
    table.on_reply(contact, now, rtt)
    if (entry := table.get_contact(contact)) is not None:
        entry.rtt.add_sample(rtt)


def full_bucket(*rtts: float, limits: DiversityLimits = UNLIMITED) -> RoutingTable:
    """Return a table whose first bucket is full; each contact replied after one of ``rtts``."""
    table = RoutingTable(OWN, K, 0.0, limits)
    for number, rtt in enumerate(rtts):
        add(table, far(number), float(number), rtt)
    fill_near_buckets(table)
    return table


def fill_near_buckets(table: RoutingTable, k: int = K) -> None:
    """Add contacts nearer to the own id, so that the first bucket is a far one."""
    for bit in range(158, 154, -1):
        for number in range(k):
            add(table, make_contact((1 << bit) + number), 0.0, 0.1)
    assert len(table.buckets) > NEAR_BUCKETS


def test_contact_with_short_round_trip_replaces_the_slowest_of_the_younger_half() -> None:
    table = full_bucket(0.5, 0.5, 0.2, 0.3)
    table.on_reply(far(9), 10.0, 0.1)
    assert held(table, table.buckets[0]) == [far(0), far(1), far(2), far(9)]
    assert waiting(table.buckets[0]) == [far(3)]


def test_nothing_has_to_be_probed_for_that() -> None:
    assert full_bucket(0.5, 0.5, 0.2, 0.3).on_reply(far(9), 10.0, 0.1) is None


def test_old_contacts_stay_however_fast_others_are() -> None:
    table = full_bucket(0.5, 0.5, 0.2, 0.3)
    for number in range(100, 200):
        add(table, far(number), float(number), 20 / number**2)
    assert far(0) in table
    assert far(1) in table
    assert len(table.buckets[0].contacts) == K


@pytest.mark.parametrize(
    ("slowest", "rtt"),
    [
        (0.1, 0.08),  # hardly shorter
        (0.019, 0.001),  # both are short
        (0.3, math.inf),  # not measured
    ],
)
def test_contact_waits_if_its_round_trip_is_not_clearly_shorter(slowest: float, rtt: float) -> None:
    table = full_bucket(0.5, 0.5, 0.01, slowest)
    assert table.on_reply(far(9), 10.0, rtt) == far(0)
    assert far(9) not in table
    assert waiting(table.buckets[0]) == [far(9)]


def test_round_trips_do_not_matter_next_to_the_own_id() -> None:
    table = full_bucket(0.5, 0.5, 0.2, 0.3)
    near = table.buckets[-NEAR_BUCKETS]
    before = held(table, near)
    add(table, make_contact((1 << 158) + 99), 10.0, 0.001)
    assert held(table, near) == before
    assert len(before) == K


def test_fast_contact_of_a_crowded_subnet_waits() -> None:
    limits = DiversityLimits.from_params(Params())
    table = full_bucket(0.5, 0.5, 0.2, 0.3, limits=limits)
    crowd = [Contact(f"192.0.2.{host}", 1, from_int(TOP + 1000 + host)) for host in (1, 2, 3)]
    for now, contact in enumerate(crowd, start=10):
        add(table, contact, float(now), 0.02)
    assert [contact in table for contact in crowd] == [True, True, False]


def test_younger_half_gets_the_contacts_with_the_shortest_round_trips() -> None:
    rng = random.Random(1)
    table = RoutingTable(OWN, 20, 0.0)
    fill_near_buckets(table, 20)
    rtts: dict[Contact, float] = {}
    for number in range(400):
        rtts[far(number)] = rng.uniform(0.03, 0.3)
        add(table, far(number), float(number), rtts[far(number)])
    inside = held(table, table.buckets[0])
    assert inside[:10] == [far(number) for number in range(10)]
    fastest = sorted(rtts.values())
    assert max(rtts[each] for each in inside[10:]) < fastest[120] < 0.12
