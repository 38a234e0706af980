"""Routing table: buckets, replacement caches, changed ids and the closest contacts."""

from __future__ import annotations

import random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int, to_int
from kademlua.core.routing.table import RoutingTable
from tests.core.routing.tables import (
    OWN,
    TOP,
    closest_of,
    far,
    full_table,
    held,
    table_with,
    waiting,
)
from tests.core.strategies import make_contact

# Closest contacts.


class Network(NamedTuple):
    """What a network is drawn from: thousands of contacts, many crowded around an id."""

    seed: int
    everywhere: int
    near: int
    spread: int
    k: int

    def build(self) -> tuple[bytes, list[Contact], random.Random]:
        rng = random.Random(self.seed)
        own = rng.getrandbits(160)
        numbers = {rng.getrandbits(160) for _ in range(self.everywhere)}
        numbers |= {own ^ rng.getrandbits(self.spread) for _ in range(self.near)}
        numbers |= {own ^ rng.getrandbits(rng.randrange(1, 161)) for _ in range(600)}
        shuffled = sorted(numbers - {own})
        rng.shuffle(shuffled)
        contacts = [
            Contact(f"10.1.{index >> 8}.{index & 255}", 1 + index, from_int(number))
            for index, number in enumerate(shuffled)
        ]
        return from_int(own), contacts, rng


networks = st.builds(
    Network,
    seed=st.integers(0, 1 << 32),
    everywhere=st.integers(0, 1200),
    near=st.integers(0, 600),
    spread=st.sampled_from([8, 40, 159, 160]),
    k=st.sampled_from([1, 2, 3, 8, 20]),
)


@settings(max_examples=25)
@given(networks)
def test_closest_contacts_are_exact(network):
    (own_id, contacts, rng), k = network.build(), network.k
    table = RoutingTable(own_id, k, 0.0)
    for contact in contacts:
        table.on_reply(contact, 0.0)
    inside = list(table)
    assert len(inside) == len(table) == len(set(inside))
    own = to_int(own_id)
    targets = [own, own ^ 1, own ^ TOP, rng.getrandbits(160), own ^ rng.getrandbits(30)]
    targets += [own ^ rng.getrandbits(rng.randrange(1, 161)) for _ in range(8)]
    targets += [contact.id_int for contact in rng.sample(inside, min(3, len(inside)))]
    for target in targets:
        for count in (1, k, 20, 64, len(inside) + 1):
            found = table.closest(from_int(target), count)
            assert found == closest_of(inside, target, count)
        but = closest_of(inside, target, 3)[-1]
        rest = [contact for contact in inside if contact != but]
        assert table.closest(from_int(target), k, but.id) == closest_of(rest, target, k)
        assert table.closest(from_int(target), k, bytes(20)) == closest_of(inside, target, k)


@settings(max_examples=25)
@given(networks)
def test_neighbourhood_is_complete_and_far_buckets_are_full(network):
    (own_id, contacts, _), k = network.build(), network.k
    table = RoutingTable(own_id, k, 0.0)
    for contact in contacts:
        table.on_reply(contact, 0.0)
    ranges: list[list[Contact]] = [[] for _ in table.buckets]
    for contact in contacts:
        shared = 160 - (contact.id_int ^ to_int(own_id)).bit_length()
        ranges[min(shared, len(ranges) - 1)].append(contact)
    assert set(held(table, table.buckets[-1])) == set(ranges[-1])
    for bucket, known in zip(table.buckets, ranges, strict=True):
        assert held(table, bucket) == known[:k]  # the first ones that came
        # The last ones wait, but for those from before the bucket was parted off.
        assert waiting(bucket) == known[k:][-k:]


def test_closest_of_an_empty_table():
    assert RoutingTable(OWN, 3, 0.0).closest(bytes(20), 5) == []


# Buckets.


def test_only_the_local_bucket_splits():
    table = table_with([far(number) for number in range(50)])
    assert len(table) == 3
    assert len(table.buckets) == 2  # parted once, while the far half was in the own one
    for number in range(1, 4):  # ids 1, 2, 3: the nearest there are
        table.on_reply(make_contact(number), 0.0)
    assert len(table.buckets) == 2
    table.on_reply(make_contact(4), 0.0)
    assert len(table) == 7
    assert all(make_contact(number) in table for number in range(1, 5))
    table.on_reply(far(50), 0.0)
    assert far(50) not in table


def test_table_splits_down_to_the_last_bit():
    table = RoutingTable(OWN, 1, 0.0)
    contacts = [make_contact(1 << bit) for bit in range(160)]
    for contact in contacts:
        table.on_reply(contact, 0.0)
    assert len(table) == 160
    assert table.closest(OWN, 200) == contacts
    table.on_reply(make_contact((1 << 159) + 1), 0.0)
    table.on_reply(make_contact(0b11), 0.0)
    assert len(table) == 160


def test_has_space_reports_free_capacity():
    table = full_table()
    assert not table.has_space_for(far(99).id)
    assert table.has_space_for(make_contact(2).id)
    assert not table.has_space_for(OWN)
    assert not table.has_space_for(make_contact(1).id)  # is in already
    assert [table.has_space_in(index) for index in range(2)] == [False, True]


def test_split_keeps_the_last_lookup_time():
    table = RoutingTable(OWN, 1, 5.0)
    table.mark_refreshed(OWN, 7.0)
    table.on_reply(far(0), 8.0)
    table.on_reply(make_contact(1), 9.0)
    assert [bucket.refreshed_at for bucket in table.buckets] == [7.0, 7.0]
    table.mark_refreshed(far(5).id, 10.0)
    assert [bucket.refreshed_at for bucket in table.buckets] == [10.0, 7.0]


# Order and replacement caches.


def test_contacts_are_ordered_least_recently_seen_first():
    table = full_table()
    a, b, c = (far(number) for number in range(3))
    assert held(table, table.buckets[0]) == [a, b, c]
    assert table.touch(a.id, a.endpoint, 10.0)
    assert held(table, table.buckets[0]) == [b, c, a]
    table.on_reply(b, 11.0)
    assert held(table, table.buckets[0]) == [c, a, b]
    peer = table.get(a.id)
    assert peer is not None
    assert peer.last_seen == 10.0


def test_new_contact_of_full_bucket_waits_and_names_eviction_candidate():
    table = full_table()
    table.touch(far(0).id, far(0).endpoint, 9.0)
    assert table.on_reply(far(3), 10.0) == far(1)
    assert far(3) not in table
    assert waiting(table.buckets[0]) == [far(3)]


def test_no_eviction_candidate_if_bucket_has_space():
    table = RoutingTable(OWN, 3, 0.0)
    assert table.on_reply(far(0), 1.0) is None
    assert table.on_reply(far(0), 2.0) is None
    assert list(table) == [far(0)]


def test_packet_from_another_address_does_not_refresh_contact():
    table = full_table()
    before = held(table, table.buckets[0])
    a, b = before[:2]
    assert not table.touch(a.id, b.endpoint, 10.0)
    assert not table.touch(a.id, (a.addr, a.port % 65535 + 1), 10.0)
    assert not table.touch(far(77).id, far(77).endpoint, 10.0)
    assert held(table, table.buckets[0]) == before
    assert table.get(a.id).last_seen == 0.0  # type: ignore[union-attr]


def test_the_replacement_cache_keeps_the_most_recently_seen():
    table = full_table(k=3)
    for number in range(3, 9):
        table.on_reply(far(number), 10.0)
    assert waiting(table.buckets[0]) == [far(6), far(7), far(8)]
    table.on_reply(far(7), 11.0)  # seen again: the best now
    assert waiting(table.buckets[0]) == [far(6), far(8), far(7)]
    table.on_reply(far(9), 12.0)
    assert waiting(table.buckets[0]) == [far(8), far(7), far(9)]


def test_best_replacement_is_promoted_when_a_contact_dies():
    table = full_table()
    for number in range(3, 6):
        table.on_reply(far(number), 10.0)
    assert table.remove(far(0)) == far(5)
    assert far(0) not in table
    assert far(5) in table
    assert waiting(table.buckets[0]) == [far(3), far(4)]
    assert table.remove(far(1)) == far(4)
    assert table.remove(far(2)) == far(3)
    assert table.remove(far(3)) is None
    assert sorted(held(table, table.buckets[0]), key=lambda c: c.id_int) == [far(4), far(5)]


def test_promoted_contact_keeps_its_age():
    table = full_table()
    table.on_reply(far(3), 10.0)
    table.remove(far(0))  # heard from at 0
    assert table.get(far(3).id).last_seen == 0.0  # type: ignore[union-attr]
    table.on_reply(far(4), 10.0)
    table.remove(far(1), 11.0)
    assert table.get(far(4).id).last_seen == 11.0  # type: ignore[union-attr]


def test_removing_unknown_contact_changes_nothing():
    table = full_table()
    before = list(table)
    table.on_reply(far(3), 10.0)
    assert table.remove(far(77)) is None
    elsewhere = Contact("10.9.9.9", 9, far(0).id)
    assert table.remove(elsewhere) is None
    assert list(table) == before


def test_dead_contact_leaves_the_replacement_cache():
    table = full_table()
    table.on_reply(far(3), 10.0)
    table.on_reply(far(4), 11.0)
    assert table.remove(far(4)) is None
    assert waiting(table.buckets[0]) == [far(3)]
    assert table.remove(far(0)) == far(3)


# Duplicate and changed ids.


def test_first_of_two_addresses_keeps_the_id():
    table = full_table()
    first = far(0)
    twin = Contact("10.9.9.9", 9, first.id)
    assert table.on_reply(twin, 10.0) == first
    assert first in table
    assert twin not in table
    assert len(table) == 4
    assert table.closest(first.id, 1) == [first]
    assert table.remove(first) == twin  # it is dead: now the other one
    assert twin in table


def test_duplicate_id_is_not_promoted_while_the_first_is_alive():
    """Who answers under another's id must not get that other out as a third one dies."""
    table = full_table()
    first = far(0)
    twin = Contact("10.9.9.9", 9, first.id)
    table.on_reply(far(5), 9.0)
    table.on_reply(twin, 10.0)
    assert table.remove(far(1)) == far(5)
    assert first in table
    assert table.closest(first.id, 1) == [first]


def test_endpoint_with_new_id_loses_the_old_id():
    table = full_table()
    reborn = Contact(*far(0).endpoint, from_int(0b100))
    assert table.on_reply(reborn, 10.0) is None
    assert reborn in table
    assert far(0) not in table
    assert len(table) == 4


def test_changed_id_promotes_the_best_replacement():
    table = full_table()
    table.on_reply(far(3), 9.0)
    table.on_reply(Contact(*far(0).endpoint, from_int(0b100)), 10.0)
    assert far(3) in table
    # In the same bucket the new id takes the place itself.
    table.on_reply(far(4), 11.0)
    reborn = Contact(*far(1).endpoint, far(9).id)
    assert table.on_reply(reborn, 12.0) is None
    assert reborn in table
    assert far(4) not in table


def test_endpoint_alternating_between_two_ids_has_one_entry():
    table = full_table()
    one, other = far(0), Contact(*far(0).endpoint, far(9).id)
    for now in range(10, 20):
        for contact in (other, one):
            table.on_reply(contact, float(now))
            table.on_reply(far(3), float(now))
            table.remove(far(3))
            assert contact in table
            assert len({c.endpoint for c in table}) == len(table) == 4


def test_waiting_contact_with_changed_id_is_not_promoted():
    table = full_table()
    table.on_reply(far(3), 9.0)
    table.on_reply(far(4), 10.0)
    reborn = Contact(*far(4).endpoint, from_int(0b100))
    table.on_reply(reborn, 11.0)
    assert table.remove(far(0)) == far(3)
    assert reborn in table
    assert far(4) not in table


def test_local_id_is_refused():
    table = RoutingTable(OWN, 3, 0.0)
    assert table.on_reply(make_contact(0), 1.0) is None
    assert len(table) == 0
    assert not table.touch(OWN, make_contact(0).endpoint, 1.0)
    assert table.remove(make_contact(0)) is None


def test_former_id_of_endpoint_is_not_promoted() -> None:
    table = RoutingTable(from_int(0), 2, 0.0)

    def at(bit: int, low: int, port: int) -> Contact:
        return Contact("127.0.0.1", port, from_int((1 << bit) ^ low))

    for number, contact in enumerate([at(159, 0, 1), at(159, 1, 3), at(158, 0, 4), at(158, 1, 2)]):
        assert table.on_reply(contact, float(number)) is None
    former, latest = at(158, 2, 2), at(159, 2, 2)
    table.buckets[table.bucket_index(former.id_int)].replacements[former.id_int] = former
    assert table.on_reply(latest, 9.0) == at(159, 0, 1)  # full: it waits
    assert former not in table
    assert not any(contact.endpoint == latest.endpoint for contact in table)
