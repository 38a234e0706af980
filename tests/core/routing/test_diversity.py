"""Subnet counts, shortlist slots and limits on the density of ids."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.shortlist_slots import ShortlistSlots, Slot
from kademlua.core.params import Params
from kademlua.core.routing.bep42 import bep42_id
from kademlua.core.routing.diversity import DiversityLimits, IdDensity

LIMITS = DiversityLimits.from_params(Params())
STRICT = DiversityLimits.from_params(Params(exempt_private=False))


def contact(addr: str, port: int = 1, number: int = 0) -> Contact:
    number = number or random.Random(f"{addr} {port}").getrandbits(160)
    return Contact(addr, port, from_int(number))


# Addresses.


@pytest.mark.parametrize(
    "addr",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.9.9",
        "100.64.0.1", "100.127.255.255", "::1", "fc00::1", "fdff::1",
    ],
)  # fmt: skip
def test_private(addr: str) -> None:
    assert contact(addr).is_private


@pytest.mark.parametrize(
    "addr",
    [
        "126.0.0.1", "128.0.0.1", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1",
        "169.253.1.1", "100.63.0.1", "100.128.0.1", "::2", "2001:db8::1", "fec0::1", "fe00::1",
    ],
)  # fmt: skip
def test_public(addr: str) -> None:
    assert not contact(addr).is_private


def test_subnet_is_an_ipv4_24_or_an_ipv6_48() -> None:
    assert (
        contact("192.0.2.1").diversity_prefix
        == contact("192.0.2.255").diversity_prefix
        == bytes([192, 0, 2])
    )
    assert contact("192.0.3.1").diversity_prefix != contact("192.0.2.1").diversity_prefix
    one, other = contact("2001:db8:7:1::1"), contact("2001:db8:7:ffff::2")
    assert one.diversity_prefix == other.diversity_prefix == bytes.fromhex("20010db80007")
    assert contact("2001:db8:8::1").diversity_prefix != one.diversity_prefix


# Places.


def crowd(count: int, addr: str = "192.0.2.{}") -> list[Contact]:
    return [contact(addr.format(number)) for number in range(1, count + 1)]


def test_lookup_has_three_slots_for_a_subnet() -> None:
    slots = ShortlistSlots(LIMITS)
    assert [slots.admit(each) for each in crowd(5)] == [Slot.FREE] * 3 + [Slot.CROWDED] * 2
    assert slots.admit(contact("192.0.3.1")) is Slot.FREE


def test_private_addresses_are_unlimited_unless_counted() -> None:
    private = crowd(20, "10.0.0.{}")
    slots, strict = ShortlistSlots(LIMITS), ShortlistSlots(STRICT)
    assert all(slots.admit(each) is Slot.FREE for each in private)
    assert sum(strict.admit(each) is Slot.FREE for each in private) == 3


def test_private_network_has_no_subnet_limits() -> None:
    limits = DiversityLimits.from_params(Params(exempt_private=False), is_private_network=True)
    slots = ShortlistSlots(limits)
    assert all(slots.admit(each) is Slot.FREE for each in crowd(20) + crowd(20, "10.0.0.{}"))


def test_endpoint_has_one_id_even_on_loopback() -> None:
    slots = ShortlistSlots(None)
    first, second = contact("127.0.0.1", number=1), contact("127.0.0.1", number=2)
    assert slots.admit(first)
    assert not slots.admit(second)
    assert slots.release(first) == [second]
    assert slots.admit(second)


def test_slot_of_a_failed_contact_is_free_again() -> None:
    slots = ShortlistSlots(LIMITS)
    *dead, living = crowd(4)
    assert [slots.admit(each) for each in (*dead, living)] == [Slot.FREE] * 3 + [Slot.CROWDED]
    assert not slots.take_subnet_slot(living)
    slots.release(dead[0])
    assert slots.take_subnet_slot(living)
    assert not slots.take_subnet_slot(contact("192.0.2.77"))


def test_crowded_contact_frees_no_slot_of_its_subnet() -> None:
    slots = ShortlistSlots(LIMITS)
    *_, crowded = [each for each in crowd(4) if slots.admit(each)]
    slots.release(crowded, is_crowded=True)
    assert slots.admit(crowded) is Slot.CROWDED


def test_few_contacts_wait_for_an_endpoint() -> None:
    slots = ShortlistSlots(LIMITS)
    many = [contact("192.0.2.1", number=number) for number in range(1, 101)]
    for each in many:
        slots.admit(each)
    assert slots.release(many[0]) == many[1:9]


def test_contact_with_invalid_bep42_id_is_refused() -> None:
    bound = DiversityLimits.from_params(Params(bep42_ids=True))
    addr, rng = "198.51.100.7", random.Random(1)
    own = Contact(addr, 1, bep42_id(contact(addr).address_bytes, rng))
    assert ShortlistSlots(bound).admit(own)
    assert not ShortlistSlots(bound).admit(contact(addr))
    assert ShortlistSlots(bound).admit(contact("127.0.0.1"))


# Selection.


def test_selection_takes_three_of_a_subnet_if_there_are_others() -> None:
    near, far = crowd(10), [contact(f"198.51.{number}.1") for number in range(10)]
    assert LIMITS.select([*near, *far], 8) == near[:3] + far[:5]


def test_crowded_contacts_fill_the_selection_in_order() -> None:
    near, far = crowd(10), [contact(f"198.51.{number}.1") for number in range(3)]
    assert LIMITS.select([*near, *far], 8) == near[:5] + far
    assert LIMITS.select(near, 8) == near[:8]


def test_fallbacks_follow_the_selection() -> None:
    near, far = crowd(5), [contact(f"198.51.{number}.1") for number in range(4)]
    assert LIMITS.select([*near, *far], 5, 3) == near[:3] + far[:2] + far[2:4] + near[3:4]


# Density.


@settings(max_examples=50)
@given(seed=st.integers(0, 1 << 32), nodes=st.integers(20, 3_000))
def test_evenly_distributed_ids_are_not_dense(seed: int, nodes: int) -> None:
    """By chance one is too many now and then, but hardly ever two."""
    rng = random.Random(seed)
    distances = sorted(rng.getrandbits(160) for _ in range(nodes))[:20]
    spread = IdDensity(nodes, 4)
    assert sum(each < spread.min_distance(nearer) for nearer, each in enumerate(distances)) <= 2


@given(nearer=st.integers(0, 200), nodes=st.integers(1, 10**9), times=st.sampled_from([2, 4, 1e9]))
def test_both_density_checks_agree(nearer: int, nodes: int, times: float) -> None:
    spread = IdDensity(nodes, times)
    least = spread.min_distance(nearer)
    assert nearer < spread.max_within(least + (1 << 100)) or least == 0
    assert least == 0 or spread.max_within(least - (1 << 100)) <= nearer


def test_four_adjacent_ids_are_accepted() -> None:
    spread = IdDensity(1_000, 4)
    assert [spread.min_distance(nearer) for nearer in range(4)] == [0] * 4
    assert spread.min_distance(4) > 1 << 140


def test_max_kth_distance_is_rarely_exceeded() -> None:
    """The k closest exceed it rarely, and usually if half of the nodes are hidden."""
    spread, rng = IdDensity(1_000, 4), random.Random(7)
    far = [0, 0]
    for _ in range(400):
        distances = sorted(rng.getrandbits(160) for _ in range(1_000))
        far[0] += distances[19] > spread.max_kth_distance(20, 1)
        far[1] += distances[::2][19] > spread.max_kth_distance(20, 1)
    assert far[0] < 0.03 * 400
    assert far[1] > 0.7 * 400
    assert spread.max_kth_distance(20, 4) == pytest.approx(4 * spread.max_kth_distance(20, 1))


def test_k_ids_within_half_of_their_usual_distance_are_a_cluster() -> None:
    density, gap = IdDensity(1_000, 4), (1 << 160) // 1_000
    usual = [number * gap for number in range(1, 9)]
    assert not density.is_cluster(usual, 8)
    assert not density.is_cluster([each * 11 // 20 for each in usual], 8)
    assert density.is_cluster([each * 9 // 20 for each in usual], 8)
    assert not density.is_cluster(usual[:7], 8)  # too few to tell
