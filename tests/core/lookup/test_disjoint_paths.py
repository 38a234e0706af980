"""Lookups on disjoint paths in simulated networks (S/Kademlia)."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.input import LookupInput
from kademlua.core.routing.table import RoutingTable
from tests.core.strategies import make_contact


class Search:
    """A search on several paths under way."""

    def __init__(self, target: int, count: int, *, k: int = 4, alpha: int = 4) -> None:
        self.asked: list[Contact] = []
        self.flying: list[Contact] = []
        self.finished = 0
        self.paths = DisjointLookup(
            count,
            LookupInput(target=from_int(target), local_id=from_int(999), k=k, alpha=alpha),
            query=self._ask,
            on_finished=self._finished,
        )

    def _ask(self, contact: Contact) -> None:
        assert contact not in self.asked
        self.asked.append(contact)
        self.flying.append(contact)

    def _finished(self) -> None:
        self.finished += 1
        assert self.paths.is_finished

    def answer(self, contact: Contact, closer: Iterable[Contact] = ()) -> None:
        self.flying.remove(contact)
        self.paths.on_reply(contact, closer)


def numbers(contacts: Iterable[Contact]) -> list[int]:
    return [contact.id_int for contact in contacts]


def of(*ids: int) -> list[Contact]:
    return [make_contact(number) for number in ids]


def test_paths_share_the_initial_contacts_closest_first() -> None:
    search = Search(0, 2, alpha=2)
    search.paths.start(of(8, 2, 1, 4))
    assert numbers(search.asked) == [1, 2]
    search.answer(*of(2))
    assert numbers(search.asked) == [1, 2, 8]  # 4 is the other path's


def test_contact_is_queried_on_one_path_only() -> None:
    search = Search(0, 2, alpha=2)
    search.paths.start(of(50, 60))
    search.answer(make_contact(50), of(5, 6))
    search.answer(make_contact(60), of(5, 7))
    assert numbers(search.asked) == [50, 60, 5, 7]


def test_malicious_contact_misleads_only_its_own_path() -> None:
    """It tells of dead ones next to the target, as many as one wants."""
    search = Search(0, 2, k=4, alpha=2)
    liar, honest = of(1 << 100, 1 << 101)
    search.paths.start([liar, honest])
    search.answer(liar, of(*range(1, 60)))
    search.answer(honest, of(1000, 1001, 1002, 1003))
    assert 1000 in numbers(search.asked)
    search.answer(make_contact(1000))
    assert 1000 in numbers(search.paths.closest())


def test_known_contacts_exclude_failures_of_other_paths() -> None:
    search = Search(0, 2, k=2, alpha=2)
    search.paths.start(of(50, 60))
    search.answer(make_contact(50), of(5))
    search.paths.on_failure(make_contact(5))
    search.answer(make_contact(60), of(5, 7))
    search.answer(make_contact(7))
    assert 5 not in numbers(search.paths.candidates(10))
    assert 7 in numbers(search.paths.candidates(10))
    assert 5 not in numbers(search.paths.unqueried(20))


def test_lookup_finishes_once_when_all_paths_have_finished() -> None:
    search = Search(0, 3)
    search.paths.start(of(1, 2, 3))
    for number in (1, 2, 3):
        assert search.finished == 0
        search.answer(make_contact(number))
    assert search.finished == 1
    assert numbers(search.paths.closest()) == [1, 2, 3]
    assert search.paths.queries == 3


def test_more_paths_than_contacts_and_none_at_all() -> None:
    search = Search(0, 4)
    search.paths.start(of(1))
    search.answer(make_contact(1))
    assert search.finished == 1
    empty = Search(0, 4)
    empty.paths.start([])
    assert empty.finished == 1


def test_stop_ends_all_paths() -> None:
    search = Search(0, 2)
    search.paths.start(of(1, 2))
    search.paths.stop()
    search.paths.stop()
    assert search.finished == 1
    search.answer(make_contact(1), of(7))
    assert 7 not in numbers(search.asked)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    count=st.sampled_from([2, 4, 8]),
    dying=st.sampled_from([0.0, 0.3]),
)
def test_finds_closest_live_nodes_through_routing_tables(
    seed: int, count: int, dying: float
) -> None:
    rng = random.Random(seed)
    contacts = [make_contact(rng.getrandbits(160)) for _ in range(120)]
    dead = {each for each in contacts if rng.random() < dying}
    tables = {}
    for contact in contacts:
        table = tables[contact] = RoutingTable(contact.id, 8, 0.0)
        for other in rng.sample(contacts, len(contacts)):
            table.on_reply(other, 0.0)
    target = rng.getrandbits(160)
    search = Search(target, count, k=8)
    search.paths.start(rng.sample(contacts, 20))
    while not search.finished:
        contact = rng.choice(search.flying)
        if contact in dead:
            search.flying.remove(contact)
            search.paths.on_failure(contact)
        else:
            search.answer(contact, tables[contact].closest(from_int(target), 8))
    live = sorted(set(contacts) - dead, key=lambda each: each.id_int ^ target)
    found = search.paths.closest()
    assert found[0] == live[0]
    assert len(set(found) & set(live[:8])) >= 7


@pytest.mark.parametrize("alpha", [1, 4, 6])
def test_each_path_has_at_least_one_call_in_flight(alpha: int) -> None:
    search = Search(0, 3, alpha=alpha)
    search.paths.start(of(*range(100, 130)))
    assert len(search.flying) == 3 * -(-alpha // 3)
