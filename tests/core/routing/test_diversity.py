"""Crowds: networks and their counts, the places of a shortlist, ids too near to each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.shortlist_slots import Places
from kademlua.core.params import Params
from kademlua.core.routing.bep42 import bound_id
from kademlua.core.routing.diversity import CrowdLimits, NetworkCounts, Spread

LIMITS = CrowdLimits.of(Params())
STRICT = CrowdLimits.of(Params(private_apart=False))


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


def test_a_network_is_a_24_or_a_48() -> None:
    assert contact("192.0.2.1").network == contact("192.0.2.255").network == bytes([192, 0, 2])
    assert contact("192.0.3.1").network != contact("192.0.2.1").network
    one, other = contact("2001:db8:7:1::1"), contact("2001:db8:7:ffff::2")
    assert one.network == other.network == bytes.fromhex("20010db80007")
    assert contact("2001:db8:8::1").network != one.network


def test_counts_go_back_to_nothing() -> None:
    counts = NetworkCounts()
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


def test_three_of_a_network() -> None:
    places = Places(LIMITS)
    assert [places.take(each) for each in crowd(5)] == [True, True, True, False, False]
    assert places.take(contact("192.0.3.1"))


def test_private_ones_have_places_without_number_unless_they_count() -> None:
    private = crowd(20, "10.0.0.{}")
    places, strict = Places(LIMITS), Places(STRICT)
    assert all(places.take(each) for each in private)
    assert sum(strict.take(each) for each in private) == 3


def test_one_id_of_an_endpoint_on_loopback_too() -> None:
    places = Places(None)
    first, second = contact("127.0.0.1", number=1), contact("127.0.0.1", number=2)
    assert places.take(first)
    assert not places.take(second)
    assert places.give_up(first) == [second]
    assert places.take(second)


def test_who_waits_gets_the_place_of_a_dead_one() -> None:
    """So it does not help to tell of dead ones in the network of somebody who lives."""
    places = Places(LIMITS)
    *dead, living = crowd(4)
    assert [places.take(each) for each in (*dead, living, living)] == [True] * 3 + [False] * 2
    assert places.give_up(dead[0]) == [living]
    assert places.take(living)
    assert places.give_up(dead[1]) == []


def test_who_waits_is_bounded() -> None:
    places = Places(LIMITS)
    many = crowd(100)
    for each in many:
        places.take(each)
    assert places.give_up(many[0]) == many[3:11]


def test_an_id_that_is_not_of_its_address_has_no_place() -> None:
    bound = CrowdLimits.of(Params(bound_ids=True))
    addr, rng = "198.51.100.7", random.Random(1)
    own = Contact(addr, 1, bound_id(contact(addr).raw, rng))
    assert Places(bound).take(own)
    assert not Places(bound).take(contact(addr))
    assert Places(bound).take(contact("127.0.0.1"))


@given(data=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.booleans()), max_size=60))
def test_never_more_than_the_limits_say(data: list[tuple[int, int, bool]]) -> None:
    places, inside = Places(LIMITS), []
    for network, host, comes in data:
        one = contact(f"192.0.{network}.{host + 1}", number=1 + len(data) * network + host)
        if comes and one not in inside and places.take(one):
            inside.append(one)
        elif not comes and one in inside:
            inside.remove(one)
            inside += [each for each in places.give_up(one) if places.take(each)]
        assert len({each.endpoint for each in inside}) == len(inside)
        for number in range(4):
            assert sum(each.network[2] == number for each in inside) <= 3


# Density.


@settings(max_examples=50)
@given(seed=st.integers(0, 1 << 32), nodes=st.integers(20, 3_000))
def test_evenly_spread_ids_are_no_crowd(seed: int, nodes: int) -> None:
    """By chance one is too many now and then, but hardly ever two."""
    rng = random.Random(seed)
    distances = sorted(rng.getrandbits(160) for _ in range(nodes))[:20]
    spread = Spread(nodes, 4)
    assert sum(each < spread.least(nearer) for nearer, each in enumerate(distances)) <= 2


@given(nearer=st.integers(0, 200), nodes=st.integers(1, 10**9), times=st.sampled_from([2, 4, 1e9]))
def test_both_ways_to_say_it_agree(nearer: int, nodes: int, times: float) -> None:
    spread = Spread(nodes, times)
    least = spread.least(nearer)
    assert nearer < spread.within(least + (1 << 100)) or least == 0
    assert least == 0 or spread.within(least - (1 << 100)) <= nearer


def test_ids_next_to_each_other_are_a_crowd_but_for_four() -> None:
    spread = Spread(1_000, 4)
    assert [spread.least(nearer) for nearer in range(4)] == [0] * 4
    assert spread.least(4) > 1 << 140


def test_how_far_apart_ids_may_be() -> None:
    """Seldom are they farther; and as far as that where half of the nodes are hidden."""
    spread, rng = Spread(1_000, 4), random.Random(7)
    far = [0, 0]
    for _ in range(400):
        distances = sorted(rng.getrandbits(160) for _ in range(1_000))
        far[0] += distances[19] > spread.farthest(20, 1)
        far[1] += distances[::2][19] > spread.farthest(20, 1)
    assert far[0] < 0.03 * 400
    assert far[1] > 0.7 * 400
    assert spread.farthest(20, 4) == pytest.approx(4 * spread.farthest(20, 1))
