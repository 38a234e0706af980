"""Subnet counts, shortlist slots and limits on the density of ids."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.shortlist_slots import ShortlistSlots
from kademlua.core.params import Params
from kademlua.core.routing.bep42 import bep42_id
from kademlua.core.routing.diversity import DiversityLimits, IdDensity, PrefixCounts

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
        "100.64.0.1", "100.127.255.255", "::1", "fe80::1", "fc00::1", "fdff::1", "febf::1",
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


def test_prefix_count_returns_to_zero() -> None:
    counts = PrefixCounts()
    counts.add(b"a")
    counts.add(b"a")
    counts.remove(b"a")
    assert (counts.count(b"a"), counts.count(b"b")) == (1, 0)
    counts.remove(b"a")
    assert counts.count(b"a") == 0
    with pytest.raises(KeyError):
        counts.remove(b"a")


# Places.


def crowd(count: int, addr: str = "192.0.2.{}") -> list[Contact]:
    return [contact(addr.format(number)) for number in range(1, count + 1)]


def test_lookup_accepts_three_contacts_of_a_subnet() -> None:
    places = ShortlistSlots(LIMITS)
    assert [places.admit(each) for each in crowd(5)] == [True, True, True, False, False]
    assert places.admit(contact("192.0.3.1"))


def test_private_addresses_are_unlimited_unless_counted() -> None:
    private = crowd(20, "10.0.0.{}")
    places, strict = ShortlistSlots(LIMITS), ShortlistSlots(STRICT)
    assert all(places.admit(each) for each in private)
    assert sum(strict.admit(each) for each in private) == 3


def test_endpoint_has_one_id_even_on_loopback() -> None:
    places = ShortlistSlots(None)
    first, second = contact("127.0.0.1", number=1), contact("127.0.0.1", number=2)
    assert places.admit(first)
    assert not places.admit(second)
    assert places.release(first) == [second]
    assert places.admit(second)


def test_waiting_contact_replaces_a_dead_one() -> None:
    """An attacker cannot hide live nodes by naming dead ones in their subnet."""
    places = ShortlistSlots(LIMITS)
    *dead, living = crowd(4)
    assert [places.admit(each) for each in (*dead, living, living)] == [True] * 3 + [False] * 2
    assert places.release(dead[0]) == [living]
    assert places.admit(living)
    assert places.release(dead[1]) == []


def test_waiting_contacts_are_limited() -> None:
    places = ShortlistSlots(LIMITS)
    many = crowd(100)
    for each in many:
        places.admit(each)
    assert places.release(many[0]) == many[3:11]


def test_contact_with_invalid_bep42_id_is_refused() -> None:
    bound = DiversityLimits.from_params(Params(bep42_ids=True))
    addr, rng = "198.51.100.7", random.Random(1)
    own = Contact(addr, 1, bep42_id(contact(addr).address_bytes, rng))
    assert ShortlistSlots(bound).admit(own)
    assert not ShortlistSlots(bound).admit(contact(addr))
    assert ShortlistSlots(bound).admit(contact("127.0.0.1"))


@given(data=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=60))
def test_limits_are_never_exceeded(data: list[tuple[int, int, bool]]) -> None:
    places, inside = ShortlistSlots(LIMITS), []
    for network, host, comes in data:
        one = contact(f"192.0.{network}.{host + 1}", number=1 + len(data) * network + host)
        if comes and one not in inside and places.admit(one):
            inside.append(one)
        elif not comes and one in inside:
            inside.remove(one)
            inside += [each for each in places.release(one) if places.admit(each)]
        assert len({each.endpoint for each in inside}) == len(inside)
        for number in range(4):
            assert sum(each.diversity_prefix[2] == number for each in inside) <= 3


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
