"""Lookup, against networks that are made up here: who is asked, and when it ends."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits, IdDensity
from kademlua.core.routing.table import RoutingTable
from tests.core.strategies import make_contact

Teller = Callable[[Contact], list[Contact]]


class Search:
    """A lookup under way; what it does that it must not, fails the test at once."""

    def __init__(self, target: int, *, k: int, alpha: int, own: int = 0) -> None:
        self.asked: list[Contact] = []
        self.flying: list[Contact] = []
        """Asked, and neither answered nor late."""
        self.late: list[Contact] = []
        self.finished = 0
        self.own = own
        self.alpha = alpha
        self.lookup = Lookup(
            LookupInput(target=from_int(target), local_id=from_int(own), k=k, alpha=alpha),
            query=self._ask,
            on_finished=self._finished,
        )

    def _ask(self, contact: Contact) -> None:
        assert self.finished == 0
        assert contact.id_int != self.own
        assert contact.id not in {known.id for known in self.asked}
        self.asked.append(contact)
        self.flying.append(contact)
        is_on_its_way = self.lookup._can_widen
        assert len(self.flying) <= (self.alpha if is_on_its_way else max(self.alpha, self.lookup.k))
        assert self.lookup.queries == len(self.asked)

    def _finished(self) -> None:
        self.finished += 1
        assert self.lookup.is_finished

    def answer(self, contact: Contact, closer: Iterable[Contact] = ()) -> None:
        self._take(contact)
        self.lookup.on_reply(contact, closer)

    def fail(self, contact: Contact) -> None:
        self._take(contact)
        self.lookup.on_failure(contact)

    def delay(self, contact: Contact) -> None:
        self._take(contact)
        self.late.append(contact)
        self.lookup.on_late(contact)

    def _take(self, contact: Contact) -> None:
        (self.flying if contact in self.flying else self.late).remove(contact)

    def run(
        self, tell: Teller, rng: random.Random, *, dead: set[Contact], slow: set[Contact]
    ) -> None:
        """Let answers, failures and lateness come in any order until it is finished."""
        while not self.finished:
            # Something must be under way, or it would wait forever.
            contact = rng.choice(self.flying + self.late)
            if contact in slow and contact in self.flying:
                self.delay(contact)
            elif contact in dead:
                self.fail(contact)
            else:
                self.answer(contact, tell(contact))
        assert self.finished == 1


def nearest(contacts: Iterable[Contact], target: int, count: int) -> list[Contact]:
    return sorted(contacts, key=lambda contact: contact.id_int ^ target)[:count]


def contacts_of(rng: random.Random, count: int) -> list[Contact]:
    return [make_contact(rng.getrandbits(160)) for _ in range(count)]


# Networks.


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.integers(1, 120),
    k=st.sampled_from([1, 3, 8, 20]),
    alpha=st.integers(1, 5),
    dying=st.sampled_from([0.0, 0.2, 0.6]),
    slowness=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_finds_exactly_the_closest_that_live(seed, size, k, alpha, dying, slowness):
    """Each node tells of the k closest that live and are quick, and of all nearer ones."""
    rng = random.Random(seed)
    contacts = contacts_of(rng, min(size, 16 * k))  # the shortlist takes no more
    target = rng.getrandbits(160)
    dead = {contact for contact in contacts if rng.random() < dying}
    slow = {contact for contact in contacts if rng.random() < slowness}
    live = set(contacts) - dead
    ordered = nearest(contacts, target, len(contacts))
    quick = nearest(live - slow, target, k)
    told = ordered[: ordered.index(quick[-1]) + 1] if len(quick) == k else ordered

    def tell(contact: Contact) -> list[Contact]:
        return rng.sample(told, len(told))

    search = Search(target, k=k, alpha=alpha)
    search.lookup.start(rng.sample(contacts, min(len(contacts), 5)) + list(live)[:1])
    search.run(tell, rng, dead=dead, slow=slow)
    found = search.lookup.closest()
    assert found == nearest(found, target, k)
    assert set(found) <= live
    if not slow:
        assert found == nearest(live, target, k)
    else:
        # The slow may be passed over, where others stand in for them; nobody else may.
        assert len(found) == min(k, len(live))
        worst = found[-1].id_int ^ target if found else 0
        passed = {c for c in live - set(found) if c.id_int ^ target < worst}
        assert passed <= slow


@pytest.mark.parametrize("k", [2, 8, 20])
def test_finds_the_closest_through_tables_of_nodes(k):
    """Each node knows what its routing table took of all the others, and no more."""
    rng = random.Random(k)
    contacts = contacts_of(rng, 250)
    tables = {}
    for contact in contacts:
        table = tables[contact] = RoutingTable(contact.id, k, 0.0)
        for other in rng.sample(contacts, len(contacts)):
            table.on_reply(other, 0.0)

    def tell_closest(target: bytes, contact: Contact) -> list[Contact]:
        return tables[contact].closest(target, k)

    exact = 0
    for _ in range(40):
        target = rng.getrandbits(160)
        search = Search(target, k=k, alpha=3)
        search.lookup.start(rng.sample(contacts, 1))
        tell = partial(tell_closest, from_int(target))
        search.run(tell, rng, dead=set(), slow=set())
        exact += search.lookup.closest() == nearest(contacts, target, k)
        assert search.lookup.closest()[0] == nearest(contacts, target, 1)[0]
        assert search.lookup.queries <= 4 * k + 20
    assert exact >= 39 if k == 2 else exact == 40


def test_answers_may_come_at_once():
    """Without a network in between, ``ask`` comes back before it returns."""
    rng = random.Random(5)
    contacts = contacts_of(rng, 60)
    target = rng.getrandbits(160)
    finished = []

    def ask(contact: Contact) -> None:
        if contact.id_int & 1:
            lookup.on_failure(contact)
        else:
            lookup.on_reply(contact, contacts)

    lookup = Lookup(
        LookupInput(target=from_int(target), local_id=bytes(20), k=8, alpha=3),
        query=ask,
        on_finished=lambda: finished.append(lookup.closest()),
    )
    lookup.start(contacts[:10])
    even = [contact for contact in contacts if not contact.id_int & 1]
    assert finished == [nearest(even, target, 8)]


# Step by step; the target is 0, so that an id is its distance. No id is 0 itself.


def search_of(numbers: Iterable[int], *, k: int = 3, alpha: int = 2, own: int = 999) -> Search:
    search = Search(0, k=k, alpha=alpha, own=own)
    search.lookup.start([make_contact(number) for number in numbers])
    return search


def numbers(contacts: Iterable[Contact]) -> list[int]:
    return [contact.id_int for contact in contacts]


def test_the_nearest_are_asked_first_and_alpha_at_a_time():
    search = search_of([9, 5, 7, 3])
    assert numbers(search.asked) == [3, 5]
    search.answer(make_contact(5))
    assert numbers(search.asked) == [3, 5, 7]


def test_a_nearer_one_goes_ahead():
    search = search_of([9, 5, 7], k=4)
    search.answer(make_contact(5), [make_contact(1), make_contact(2)])
    assert numbers(search.asked) == [5, 7, 1]
    search.answer(make_contact(1))
    assert numbers(search.asked) == [5, 7, 1, 2]
    search.answer(make_contact(2))
    assert search.finished == 0  # 7 may yet tell of someone nearer
    search.answer(make_contact(7), [make_contact(4)])
    assert numbers(search.asked) == [5, 7, 1, 2, 4]
    search.answer(make_contact(4))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 4, 5]
    assert numbers(search.lookup.unqueried()) == [9]


def test_who_fell_behind_the_k_nearest_is_not_waited_for():
    search = search_of([9, 5, 7], k=3)
    search.answer(make_contact(5), [make_contact(1), make_contact(2)])
    search.answer(make_contact(1))
    search.answer(make_contact(2))
    assert search.flying == [make_contact(7)]
    assert search.finished == 1


def test_ends_when_the_k_nearest_have_answered_and_asks_nobody_else():
    search = search_of([1, 2, 3, 4, 5], k=3, alpha=3)
    for number in (3, 2, 1):
        assert search.finished == 0
        search.answer(make_contact(number))
    assert search.finished == 1
    assert numbers(search.asked) == [1, 2, 3]
    assert numbers(search.lookup.unqueried()) == [4, 5]


def test_the_next_stands_in_for_a_dead_one():
    search = search_of([1, 2, 3, 4], k=3, alpha=3)
    search.fail(make_contact(2))
    assert numbers(search.asked) == [1, 2, 3, 4]
    for number in (1, 3, 4):
        search.answer(make_contact(number))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 3, 4]


def test_ends_when_nobody_is_left_to_ask():
    search = search_of([1, 2], k=3)
    search.answer(make_contact(1))
    assert search.finished == 0
    search.fail(make_contact(2))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1]


def test_nobody_lives():
    search = search_of([1, 2])
    search.fail(make_contact(2))
    search.fail(make_contact(1))
    assert search.finished == 1
    assert search.lookup.closest() == []


def test_nobody_is_known():
    search = search_of([])
    assert search.finished == 1
    assert search.asked == []
    assert search.lookup.closest() == search.lookup.unqueried() == []


def test_the_own_id_is_neither_asked_nor_found():
    search = search_of([7, 9], own=7)
    search.answer(make_contact(9), [make_contact(7), Contact("10.0.0.1", 1, from_int(7))])
    assert search.finished == 1
    assert numbers(search.asked) == numbers(search.lookup.closest()) == [9]


def test_a_late_one_gives_up_its_slot_and_may_still_answer():
    search = search_of([1, 2, 3, 4, 5], k=3, alpha=2)
    search.delay(make_contact(1))
    assert numbers(search.asked) == [1, 2, 3]
    search.answer(make_contact(1), [make_contact(6)])
    assert numbers(search.asked) == [1, 2, 3]  # it has no slot to give back
    search.answer(make_contact(2))
    search.answer(make_contact(3))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 3]


def test_who_is_late_twice_is_not_waited_for_while_others_stand_in():
    search = search_of([1, 2, 3, 4], k=3, alpha=2)
    search.delay(make_contact(1))
    for number in (2, 3, 4):
        search.answer(make_contact(number))
    assert search.finished == 0
    search.lookup.on_late(make_contact(1))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [2, 3, 4]


def test_the_late_are_waited_for_where_nobody_stands_in():
    search = search_of([1, 2], k=3)
    search.delay(make_contact(1))
    search.answer(make_contact(2))
    assert search.finished == 0
    search.answer(make_contact(1), [make_contact(5)])
    assert numbers(search.asked) == [1, 2, 5]
    search.delay(make_contact(5))
    assert search.finished == 0
    search.fail(make_contact(5))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2]


def test_late_twice_gives_no_second_slot():
    search = search_of([1, 2, 3, 4, 5], k=5, alpha=2)
    search.delay(make_contact(1))
    search.lookup.on_late(make_contact(1))
    assert numbers(search.asked) == [1, 2, 3]


@pytest.mark.parametrize("again", ["answered", "failed"])
def test_a_second_answer_changes_nothing(again):
    search = search_of([1, 2, 3, 4, 5], k=4, alpha=2)
    search.answer(make_contact(1))
    asked = list(search.asked)
    for _ in range(3):
        if again == "answered":
            search.lookup.on_reply(make_contact(1), [make_contact(6)])
        else:
            search.lookup.on_failure(make_contact(1))
    assert search.asked == asked
    assert numbers(search.lookup.closest()) == [1]


def test_an_answer_of_someone_who_was_not_asked_changes_nothing():
    search = search_of([1, 2, 3, 4, 5], k=4, alpha=2)
    for stranger in (make_contact(4), make_contact(77)):
        search.lookup.on_reply(stranger, [make_contact(6)])
        search.lookup.on_failure(stranger)
        search.lookup.on_late(stranger)
    assert numbers(search.asked) == [1, 2]
    assert search.lookup.closest() == []


def test_the_same_id_elsewhere_is_not_asked_again():
    search = search_of([1, 2])
    search.answer(make_contact(1), [Contact("10.0.0.1", 1, from_int(number)) for number in (1, 2)])
    search.answer(make_contact(2))
    assert search.finished == 1
    assert search.lookup.closest() == [make_contact(1), make_contact(2)]


def test_stop():
    search = search_of([1, 2, 3, 4])
    search.answer(make_contact(1))
    search.lookup.stop()
    assert search.finished == 1
    assert search.lookup.is_finished
    asked = list(search.asked)
    search.answer(make_contact(2), [make_contact(0)])
    search.delay(make_contact(3))
    search.fail(make_contact(3))
    search.lookup.stop()
    assert search.finished == 1
    assert search.asked == asked
    assert numbers(search.lookup.closest()) == [1]


def test_stop_from_within_ask():
    asked: list[Contact] = []
    finished: list[bool] = []

    def ask(contact: Contact) -> None:
        asked.append(contact)
        lookup.stop()

    lookup = Lookup(
        LookupInput(target=bytes(20), local_id=b"o" * 20, k=3, alpha=3),
        query=ask,
        on_finished=lambda: finished.append(True),
    )
    lookup.start([make_contact(number) for number in (1, 2, 3)])
    assert numbers(asked) == [1]
    assert finished == [True]


# Liars.


def test_a_liar_who_always_tells_of_nearer_ones_leads_it_on_for_so_long_only():
    search = Search(0, k=3, alpha=3, own=999)
    search.lookup.start([make_contact(1 << 159)])
    distance = 1 << 158
    while not search.finished:
        closer = [make_contact(distance - each) for each in range(3)]
        distance -= 3
        search.answer(search.flying[0], closer)
        assert search.lookup.queries <= 200
    assert search.finished == 1
    assert len(search.lookup.closest()) == 3


def test_thousands_of_made_up_contacts_end_as_well():
    search = Search(0, k=3, alpha=3, own=999)
    search.alpha = 1000  # who is crowded out of the shortlist counts no more
    search.lookup.start([make_contact(1 << 159)])
    rng = random.Random(1)
    bits = 158
    while not search.finished:
        bits -= 1 if bits > 80 else 0
        closer = [make_contact((1 << bits) + rng.getrandbits(bits)) for _ in range(64)]
        search.answer(search.flying[0], closer)
        assert search.lookup.queries <= 200
        assert len(search.lookup.unqueried()) <= 3
    assert search.finished == 1


def test_who_was_crowded_out_while_in_flight_keeps_no_slot():
    """Some far contact is silent; many nearer ones became known meanwhile."""
    asked: list[Contact] = []
    lookup = Lookup(
        LookupInput(target=bytes(20), local_id=b"o" * 20, k=4, alpha=3),
        query=asked.append,
        on_finished=lambda: None,
    )
    lookup.start([make_contact((1 << 159) + number) for number in range(3)])
    assert len(asked) == 3
    lookup.on_reply(asked[0], [make_contact(number) for number in range(1, 200)])
    assert numbers(asked[3:]) == [1, 2, 3]
    for contact in asked[1:3]:  # in the end they are silent; their slots are long given on
        lookup.on_late(contact)
        lookup.on_failure(contact)
    assert len(asked) == 6


def test_once_the_nearest_has_answered_all_of_the_k_closest_are_asked_at_once():
    search = search_of(range(1, 9), k=6, alpha=2)
    assert numbers(search.asked) == [1, 2]
    search.answer(make_contact(1))
    assert numbers(search.asked) == [1, 2, 3, 4, 5, 6]


def test_an_answer_that_tells_of_nobody_nearer_brings_the_last_step():
    search = search_of(range(11, 19), k=6, alpha=3)
    search.answer(make_contact(12), [make_contact(10)])
    assert numbers(search.asked) == [11, 12, 13, 10]
    search.answer(make_contact(13), [make_contact(20)])
    assert numbers(search.asked) == [11, 12, 13, 10, 14, 15]  # the six nearest


def test_a_narrow_one_takes_no_last_step():
    search = search_of(range(1, 9), k=6, alpha=3)
    search.lookup.limit_concurrency(2)
    search.answer(make_contact(1))
    assert numbers(search.asked) == [1, 2, 3]
    search.answer(make_contact(2))
    assert numbers(search.asked) == [1, 2, 3, 4]


def test_on_the_way_there_it_is_alpha_at_a_time():
    search = search_of([1000, 1001, 1002], k=6, alpha=2)
    for number in range(1000, 900, -10):
        assert len(search.flying) == 2
        search.answer(search.flying[0], [make_contact(number - each) for each in range(5, 15)])


# Crowds.


def guarded(
    contacts: Iterable[Contact],
    *,
    k: int = 4,
    nodes: int = 0,
    others: Callable[[], list[Contact]] | None = None,
) -> Search:
    """A search that takes few of a network, and few next to each other among so many nodes."""
    search = Search(0, k=k, alpha=100, own=999)
    search.lookup = Lookup(
        LookupInput(
            target=bytes(20),
            local_id=from_int(999),
            k=k,
            alpha=100,
            limits=DiversityLimits.from_params(Params()),
            density=IdDensity(nodes, 4) if nodes else None,
            fallback_contacts=others,
        ),
        query=search._ask,
        on_finished=search._finished,
    )
    search.lookup.start(contacts)
    return search


def of_one_network(*ids: int) -> list[Contact]:
    return [Contact(f"192.0.2.{number}", 1, from_int(number)) for number in ids]


def test_three_of_a_network_are_asked_and_others_come_first():
    search = guarded([*of_one_network(1, 2, 3, 4, 5), make_contact(1000)])
    assert numbers(search.asked) == [1, 2, 3, 1000]


def test_dead_ones_of_a_network_do_not_keep_out_who_lives():
    dead, living = of_one_network(1, 2, 3), of_one_network(4)
    search = guarded([*dead, *living])
    assert search.asked == dead
    search.fail(dead[1])
    assert search.asked == dead + living


def test_a_made_up_id_does_not_keep_its_endpoint():
    fake, real = Contact("192.0.2.1", 1, from_int(5)), Contact("192.0.2.1", 1, from_int(6))
    search = guarded([fake, real])
    assert search.asked == [fake]
    search.fail(fake)
    assert search.asked == [fake, real]
    search.answer(real)
    assert search.lookup.closest() == [real]


def evenly(nodes: int, count: int) -> list[Contact]:
    """The nearest of so many nodes that are spread evenly."""
    return [make_contact((number << 160) // nodes) for number in range(1, count + 1)]


def test_those_next_to_each_other_are_passed_over():
    crowd = [make_contact(number) for number in range(1, 30)]
    honest = evenly(1_000, 20)
    search = guarded([*crowd, *honest], k=20, nodes=1_000)
    assert numbers(search.asked) == numbers([*crowd[:4], *honest[:16]])
    assert search.lookup.candidates(40) == [*honest[16:]]
    for contact in list(search.flying):
        search.answer(contact, crowd)
    assert search.finished == 1
    assert search.lookup.closest() == [*crowd[:4], *honest[:16]]


def test_dead_ones_next_to_each_other_are_not_all_tried():
    crowd = [make_contact(number) for number in range(1, 30)]
    search = guarded([*crowd, *evenly(1_000, 20)], k=20, nodes=1_000)
    for contact in crowd[:4]:
        search.fail(contact)
    assert not set(search.asked) & set(crowd[4:])


def test_evenly_spread_ones_are_all_taken():
    honest = evenly(1_000, 30)
    search = guarded(honest, k=20, nodes=1_000)
    assert search.asked == honest[:20]


def test_a_network_four_times_as_large_as_thought_is_seen_all_the_same():
    honest = evenly(1_000, 30)
    search = guarded(honest, k=20, nodes=250)
    assert search.asked == honest[:20]


def test_where_the_nearest_are_too_far_apart_others_are_asked_as_well():
    """A gang tells of itself only; somebody who is farther away knows who is nearer."""
    gang = [make_contact(each.id_int * 5) for each in evenly(1_000, 4)]
    witness, honest = make_contact(1 << 159), evenly(1_000, 4)
    search = guarded([*gang, witness], nodes=1_000)
    assert search.asked == [*gang, witness]
    for contact in gang:
        search.answer(contact, gang)
    assert search.finished == 0
    search.answer(witness, honest)
    for contact in list(search.flying):
        search.answer(contact, honest)
    assert search.finished == 1
    assert search.lookup.closest() == honest


def test_thirty_others_and_no_more():
    gang = [make_contact(each.id_int * 5) for each in evenly(1_000, 4)]
    others = [make_contact((1 << 159) + number) for number in range(50)]
    search = guarded([*gang, *others], nodes=1_000)
    for contact in [*gang, *others]:
        if contact in search.flying:
            search.answer(contact, gang)
    assert search.finished == 1
    assert search.asked == [*gang, *others[:30]]


def test_where_they_are_as_near_as_they_should_be_nobody_else_is():
    honest = evenly(1_000, 30)
    search = guarded(honest, k=20, nodes=1_000)
    for contact in honest[:20]:
        search.answer(contact, honest)
    assert search.finished == 1
    assert search.asked == honest[:20]


def test_where_only_a_gang_is_known_those_farther_away_are_asked():
    gang = [make_contact(each.id_int * 5) for each in evenly(1_000, 6)]
    witness, honest = make_contact(1 << 159), evenly(1_000, 4)
    search = guarded(gang, nodes=1_000, others=lambda: [witness])
    for contact in gang:
        assert witness not in search.asked
        search.answer(contact, gang)
    search.answer(witness, honest)
    for contact in honest:
        search.answer(contact, honest)
    assert search.finished == 1
    assert search.lookup.closest() == honest
