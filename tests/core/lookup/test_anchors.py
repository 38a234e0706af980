"""Anchors: seeds of which one replies before a lookup ends."""

from __future__ import annotations

from tests.core.lookup.search import Search, numbers
from tests.core.strategies import make_contact


def test_a_seed_named_as_anchor_replies_before_the_k_closest_finish_the_lookup() -> None:
    search = Search(0, k=3, alpha=2, local=999)
    search.lookup.start(map(make_contact, (1, 2, 3, 50, 60)), map(make_contact, (50, 60)))
    for number in (1, 2, 3):  # of one attacker: they name only each other
        search.reply(make_contact(number), [make_contact(each) for each in (1, 2, 3)])
    assert numbers(search.queried) == [1, 2, 3, 50]
    assert search.finished == 0
    search.fail(make_contact(50))
    assert numbers(search.queried) == [1, 2, 3, 50, 60]
    search.reply(make_contact(60), [make_contact(0)])
    assert numbers(search.queried)[-1] == 0
    search.reply(make_contact(0))
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [0, 1, 2]


def test_an_anchor_that_has_replied_costs_no_query() -> None:
    search = Search(0, k=3, alpha=2, local=999)
    search.lookup.start(map(make_contact, (1, 2, 3, 50)), map(make_contact, (3, 50)))
    for number in (1, 2, 3):
        search.reply(make_contact(number))
    assert search.finished == 1
    assert numbers(search.queried) == [1, 2, 3]


def test_a_lookup_whose_anchors_do_not_reply_finishes_without_them() -> None:
    search = Search(0, k=2, alpha=2, local=999)
    search.lookup.start(map(make_contact, (1, 2, 50)), [make_contact(50)])
    search.reply(make_contact(1))
    search.reply(make_contact(2))
    search.delay(make_contact(50))
    assert search.finished == 0
    search.lookup.on_late(make_contact(50))
    assert search.finished == 1


def test_an_anchor_displaced_by_many_nearer_contacts_is_not_awaited() -> None:
    search = Search(0, k=1, alpha=1, local=999)
    search.lookup.start(map(make_contact, (1, 500)), [make_contact(500)])
    search.reply(make_contact(1), [make_contact(number) for number in range(2, 40)])
    assert search.finished == 1
    assert numbers(search.queried) == [1]
