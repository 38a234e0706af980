"""Region: which keys need no lookup of their own, against brute force on random networks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.lookup.region import Region
from tests.core.lookup.search import closest_of, contacts_of
from tests.core.strategies import make_contact


def looked_up(contacts: list[Contact], targets: list[int], k: int) -> Region:
    """Return the region after a lookup of each target."""
    region = Region()
    for target in targets:
        region.add(target, closest_of(contacts, target, k), k)
    return region


def test_knows_nothing_at_first() -> None:
    region = Region()
    assert region.replicas(5, 1) is None
    assert region.next_target(5, 1) == 5
    assert region.nearest(5, 3) == []


def test_few_contacts_are_the_whole_network() -> None:
    contacts = [make_contact(number) for number in (3, 9, 1 << 159)]
    region = looked_up(contacts, [0], 4)
    assert region.replicas(8, 2) == [contacts[1], contacts[0]]
    assert region.replicas(1 << 159, 5) == [contacts[2], contacts[0], contacts[1]]


def test_contacts_beyond_the_covered_ids_prove_nothing() -> None:
    contacts = [make_contact(number) for number in (0b0001, 0b0010, 0b0101, 0b1000)]
    region = looked_up(contacts, [0], 3)  # covers 0 to 5
    assert region.replicas(0b0011, 2) == [contacts[1], contacts[0]]
    assert region.replicas(0b0101, 1) == [contacts[2]]
    assert region.replicas(0b0011, 3) is None
    assert region.replicas(0b0110, 1) is None
    assert region.next_target(0b0011, 3) == 0b0110
    assert region.nearest(0b0111, 2) == [contacts[2], contacts[1]]


def test_ids_nearer_than_the_farthest_contact_are_covered() -> None:
    contacts = [make_contact(number) for number in (0, 9, 11, 12, 14)]
    region = looked_up(contacts, [0], 4)  # covers 0 to 12
    assert region.replicas(0b1010, 2) == [contacts[2], contacts[1]]
    assert region.replicas(0b1100, 1) == [contacts[3]]
    assert region.replicas(0b1100, 2) is None


def test_contacts_known_from_the_start() -> None:
    own, other = make_contact(6), make_contact(1)
    region = Region([own])
    region.add(0, [other], 2)
    assert region.replicas(7, 1) == [own]


def test_removed_contact_is_no_replica() -> None:
    contacts = [make_contact(number) for number in (3, 9, 12)]
    region = looked_up(contacts, [0], 4)
    region.remove(contacts[1])
    region.remove(contacts[1])
    assert region.replicas(9, 2) == [contacts[2], contacts[0]]


@settings(max_examples=200)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.integers(1, 150),
    k=st.sampled_from([1, 3, 8, 20]),
    count=st.integers(1, 24),
    lookups=st.integers(1, 12),
    spread=st.sampled_from([8, 150, 160]),
)
def test_never_returns_other_replicas_than_a_full_lookup(
    seed: int, size: int, k: int, count: int, lookups: int, spread: int
) -> None:
    rng = random.Random(seed)
    crowd = [make_contact(rng.getrandbits(spread)) for _ in range(size // 2)]
    contacts = list({each.id: each for each in [*contacts_of(rng, size), *crowd]}.values())
    targets = [rng.getrandbits(rng.choice([spread, 160])) for _ in range(lookups)]
    region = looked_up(contacts, targets, k)
    for target in targets:
        for key in (target, target ^ rng.getrandbits(rng.randrange(1, 160)), rng.getrandbits(160)):
            found = region.replicas(key, count)
            assert found is None or found == closest_of(contacts, key, count)
            assert (found is None) == (region.next_target(key, count) is not None)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.integers(1, 300),
    k=st.sampled_from([3, 8, 20]),
    count=st.integers(1, 24),
)
def test_lookups_of_the_next_targets_lead_to_replicas(
    seed: int, size: int, k: int, count: int
) -> None:
    rng = random.Random(seed)
    contacts = contacts_of(rng, size)
    region = Region()
    lookups = 0
    for key in sorted(rng.getrandbits(160) for _ in range(100)):
        while (target := region.next_target(key, count)) is not None:
            region.add(target, closest_of(contacts, target, k), k)
            lookups += 1
        assert region.replicas(key, count) == closest_of(contacts, key, count)
    assert lookups <= 1 + 6 * size / k


@pytest.mark.parametrize("count", [1, 20])
def test_many_keys_need_few_lookups(count: int) -> None:
    rng = random.Random(7)
    contacts = contacts_of(rng, 1000)
    region = Region()
    lookups = 0
    for key in sorted(rng.getrandbits(160) for _ in range(10_000)):
        while (target := region.next_target(key, count)) is not None:
            region.add(target, closest_of(contacts, target, 20), 20)
            lookups += 1
        assert region.replicas(key, count) is not None
    assert lookups < 100
