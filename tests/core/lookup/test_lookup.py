"""Lookup: which contacts it queries, and when it ends."""

from __future__ import annotations

import random

import pytest

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from tests.core.lookup.search import Search, numbers, search_of
from tests.core.strategies import make_contact

# Step by step; the target is 0, so that an id is its distance. No id is 0 itself.


def test_closest_contacts_are_queried_first_alpha_at_a_time():
    search = search_of([9, 5, 7, 3])
    assert numbers(search.queried) == [3, 5]
    search.reply(make_contact(5))
    assert numbers(search.queried) == [3, 5, 7]


def test_closer_contact_is_queried_next():
    search = search_of([9, 5, 7], k=4)
    search.reply(make_contact(5), [make_contact(1), make_contact(2)])
    assert numbers(search.queried) == [5, 7, 1]
    search.reply(make_contact(1))
    assert numbers(search.queried) == [5, 7, 1, 2]
    search.reply(make_contact(2))
    assert search.finished == 0  # 7 may yet respond of someone nearer
    search.reply(make_contact(7), [make_contact(4)])
    assert numbers(search.queried) == [5, 7, 1, 2, 4]
    search.reply(make_contact(4))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 4, 5]
    assert numbers(search.lookup.unqueried(20)) == [9]


def test_lookup_does_not_wait_for_contact_beyond_the_k_closest():
    search = search_of([9, 5, 7], k=3)
    search.reply(make_contact(5), [make_contact(1), make_contact(2)])
    search.reply(make_contact(1))
    search.reply(make_contact(2))
    assert search.in_flight == [make_contact(7)]
    assert search.finished == 1


def test_lookup_ends_when_the_k_closest_have_replied():
    search = search_of([1, 2, 3, 4, 5], k=3, alpha=3)
    for number in (3, 2, 1):
        assert search.finished == 0
        search.reply(make_contact(number))
    assert search.finished == 1
    assert numbers(search.queried) == [1, 2, 3]
    assert numbers(search.lookup.unqueried(20)) == [4, 5]


def test_next_contact_replaces_a_dead_one():
    search = search_of([1, 2, 3, 4], k=3, alpha=3)
    search.fail(make_contact(2))
    assert numbers(search.queried) == [1, 2, 3, 4]
    for number in (1, 3, 4):
        search.reply(make_contact(number))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 3, 4]


def test_lookup_ends_when_no_contact_is_left():
    search = search_of([1, 2], k=3)
    search.reply(make_contact(1))
    assert search.finished == 0
    search.fail(make_contact(2))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1]


def test_lookup_ends_without_result_if_all_contacts_are_dead():
    search = search_of([1, 2])
    search.fail(make_contact(2))
    search.fail(make_contact(1))
    assert search.finished == 1
    assert search.lookup.closest() == []


def test_lookup_without_contacts_finishes_immediately():
    search = search_of([])
    assert search.finished == 1
    assert search.queried == []
    assert search.lookup.closest() == search.lookup.unqueried(20) == []


def test_local_id_is_neither_queried_nor_found():
    search = search_of([7, 9], local=7)
    search.reply(make_contact(9), [make_contact(7), Contact("10.0.0.1", 1, from_int(7))])
    assert search.finished == 1
    assert numbers(search.queried) == numbers(search.lookup.closest()) == [9]


def test_late_contact_frees_its_slot_and_adds_one():
    search = search_of([1, 2, 3, 4, 5, 6, 7, 8], k=8, alpha=1)
    search.delay(make_contact(1))
    assert numbers(search.queried) == [1, 2, 3]
    search.delay(make_contact(2))
    assert numbers(search.queried) == [1, 2, 3, 4, 5]


def test_late_contact_may_still_reply():
    search = search_of([1, 2, 3, 4, 5], k=3, alpha=2)
    search.delay(make_contact(1))
    assert numbers(search.queried) == [1, 2, 3, 4]
    search.reply(make_contact(1), [make_contact(6)])
    assert numbers(search.queried) == [1, 2, 3, 4]  # it holds no slot
    search.reply(make_contact(2))
    search.reply(make_contact(3))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 3]


def test_contact_late_twice_is_not_awaited_if_others_replace_it():
    search = search_of([1, 2, 3, 4], k=3, alpha=2)
    search.delay(make_contact(1))
    for number in (2, 3, 4):
        search.reply(make_contact(number))
    assert search.finished == 0
    search.lookup.on_late(make_contact(1))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [2, 3, 4]


def test_contact_late_twice_is_awaited_if_what_is_searched_is_missing():
    is_missing = True
    search = Search(0, k=3, alpha=2, local=999, awaits_lost=lambda: is_missing)
    search.lookup.start([make_contact(number) for number in (1, 2, 3, 4, 9)])
    search.delay(make_contact(1))
    search.lookup.on_late(make_contact(1))
    for number in (2, 3, 4):
        search.reply(make_contact(number))
    assert search.finished == 0
    assert numbers(search.queried) == [1, 2, 3, 4]
    is_missing = False
    search.reply(make_contact(1))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 3]


def test_late_contact_is_awaited_if_no_other_replaces_it():
    search = search_of([1, 2], k=3)
    search.delay(make_contact(1))
    search.reply(make_contact(2))
    assert search.finished == 0
    search.reply(make_contact(1), [make_contact(5)])
    assert numbers(search.queried) == [1, 2, 5]
    search.delay(make_contact(5))
    assert search.finished == 0
    search.fail(make_contact(5))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2]


def test_second_late_event_frees_no_second_slot():
    search = search_of([1, 2, 3, 4, 5], k=5, alpha=2)
    search.delay(make_contact(1))
    search.lookup.on_late(make_contact(1))
    assert numbers(search.queried) == [1, 2, 3, 4]


def test_contacts_late_in_earlier_lookups_are_queried_last():
    search = search_of([1, 2, 3, 4], k=3, alpha=1, late=[1, 3])
    assert numbers(search.queried) == [2]
    search.reply(make_contact(2))
    search.reply(make_contact(4))
    assert numbers(search.queried) == [2, 4, 1, 3]
    search.reply(make_contact(3))
    assert search.finished == 0
    search.reply(make_contact(1))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 3]


@pytest.mark.parametrize("again", ["answered", "failed"])
def test_second_reply_changes_nothing(again):
    search = search_of([1, 2, 3, 4, 5], k=4, alpha=2)
    search.reply(make_contact(1))
    queried = list(search.queried)
    for _ in range(3):
        if again == "answered":
            search.lookup.on_reply(make_contact(1), [make_contact(6)])
        else:
            search.lookup.on_failure(make_contact(1))
    assert search.queried == queried
    assert numbers(search.lookup.closest()) == [1]


def test_reply_of_unqueried_contact_changes_nothing():
    search = search_of([1, 2, 3, 4, 5], k=4, alpha=2)
    for stranger in (make_contact(4), make_contact(77)):
        search.lookup.on_reply(stranger, [make_contact(6)])
        search.lookup.on_failure(stranger)
        search.lookup.on_late(stranger)
    assert numbers(search.queried) == [1, 2]
    assert search.lookup.closest() == []


def test_known_id_at_another_address_is_not_queried():
    search = search_of([1, 2])
    search.reply(make_contact(1), [Contact("10.0.0.1", 1, from_int(number)) for number in (1, 2)])
    search.reply(make_contact(2))
    assert search.finished == 1
    assert search.lookup.closest() == [make_contact(1), make_contact(2)]


def test_stop():
    search = search_of([1, 2, 3, 4])
    search.reply(make_contact(1))
    search.lookup.stop()
    assert search.finished == 1
    assert search.lookup.is_finished
    queried = list(search.queried)
    search.reply(make_contact(2), [make_contact(0)])
    search.delay(make_contact(3))
    search.fail(make_contact(3))
    search.lookup.stop()
    assert search.finished == 1
    assert search.queried == queried
    assert numbers(search.lookup.closest()) == [1]


def test_stop_from_within_ask():
    queried: list[Contact] = []
    finished: list[bool] = []

    def query(contact: Contact) -> None:
        queried.append(contact)
        lookup.stop()

    lookup = Lookup(
        LookupInput(target=bytes(20), local_id=b"o" * 20, k=3, alpha=3),
        query=query,
        on_finished=lambda: finished.append(True),
    )
    lookup.start([make_contact(number) for number in (1, 2, 3)])
    assert numbers(queried) == [1]
    assert finished == [True]


# Malicious contacts.


def test_endless_closer_contacts_do_not_keep_lookup_running():
    search = Search(0, k=3, alpha=3, local=999)
    search.lookup.start([make_contact(1 << 159)])
    distance = 1 << 158
    while not search.finished:
        closer = [make_contact(distance - each) for each in range(3)]
        distance -= 3
        search.reply(search.in_flight[0], closer)
        assert search.lookup.queries <= 200
    assert search.finished == 1
    assert len(search.lookup.closest()) == 3


def test_lookup_ends_despite_thousands_of_fake_contacts():
    search = Search(0, k=3, alpha=3, local=999)
    search.alpha = 1000  # contacts displaced from the shortlist do not count
    search.lookup.start([make_contact(1 << 159)])
    rng = random.Random(1)
    bits = 158
    while not search.finished:
        bits -= 1 if bits > 80 else 0
        closer = [make_contact((1 << bits) + rng.getrandbits(bits)) for _ in range(64)]
        search.reply(search.in_flight[0], closer)
        assert search.lookup.queries <= 200
        assert len(search.lookup.unqueried(100)) <= 16 * search.lookup.k
    assert search.finished == 1


def test_contact_displaced_while_in_flight_keeps_no_slot():
    """A far contact is silent while many closer ones become known."""
    queried: list[Contact] = []
    lookup = Lookup(
        LookupInput(target=bytes(20), local_id=b"o" * 20, k=4, alpha=3),
        query=queried.append,
        on_finished=lambda: None,
    )
    lookup.start([make_contact((1 << 159) + number) for number in range(3)])
    assert len(queried) == 3
    lookup.on_reply(queried[0], [make_contact(number) for number in range(1, 200)])
    assert numbers(queried[3:]) == [1, 2, 3]
    for contact in queried[1:3]:  # silent; their slots were reassigned earlier
        lookup.on_late(contact)
        lookup.on_failure(contact)
    assert len(queried) == 6


def test_reply_of_closest_contact_starts_queries_to_all_k_closest():
    search = search_of(range(1, 9), k=6, alpha=2)
    assert numbers(search.queried) == [1, 2]
    search.reply(make_contact(1))
    assert numbers(search.queried) == [1, 2, 3, 4, 5, 6]


def test_reply_without_closer_contacts_starts_the_last_step():
    search = search_of(range(11, 19), k=6, alpha=3)
    search.reply(make_contact(12), [make_contact(10)])
    assert numbers(search.queried) == [11, 12, 13, 10]
    search.reply(make_contact(13), [make_contact(20)])
    assert numbers(search.queried) == [11, 12, 13, 10, 14, 15]  # the six nearest


def test_lookup_with_limited_concurrency_skips_the_last_step():
    search = search_of(range(1, 9), k=6, alpha=3)
    search.lookup.limit_concurrency(2)
    search.reply(make_contact(1))
    assert numbers(search.queried) == [1, 2, 3]
    search.reply(make_contact(2))
    assert numbers(search.queried) == [1, 2, 3, 4]


def test_alpha_queries_are_in_flight_while_contacts_get_closer():
    search = search_of([1000, 1001, 1002], k=6, alpha=2)
    for number in range(1000, 900, -10):
        assert len(search.in_flight) == 2
        search.reply(search.in_flight[0], [make_contact(number - each) for each in range(5, 15)])
