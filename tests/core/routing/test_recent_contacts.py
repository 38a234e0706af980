"""RecentContacts: which contacts outside the table are remembered, and for how long."""

from __future__ import annotations

import math

from kademlua.core.routing.recent_contacts import RecentContacts
from tests.core.routing.tables import far, table_with
from tests.core.strategies import make_contact

LIFETIME = 300.0


def test_contacts_of_the_table_are_left_out() -> None:
    recent = RecentContacts(table_with([far(1)]), LIFETIME)
    recent.on_reply(far(1), 10)
    recent.on_reply(far(2), 10)
    assert recent.nearest(0, 5, 10) == [far(2)]


def test_contact_is_forgotten_some_time_after_its_last_reply() -> None:
    recent = RecentContacts(table_with([]), LIFETIME)
    recent.on_reply(far(1), 10)
    recent.on_reply(far(2), 20)
    recent.on_reply(far(1), 30)
    assert recent.nearest(0, 5, 20 + LIFETIME) == [far(1), far(2)]
    assert recent.nearest(0, 5, 30 + LIFETIME) == [far(1)]
    assert recent.nearest(0, 5, 31 + LIFETIME) == []
    assert len(recent) == 0


def test_the_contact_that_was_silent_longest_makes_room() -> None:
    recent = RecentContacts(table_with([]), LIFETIME)
    for number in range(2_000):
        recent.on_reply(make_contact(number), number / 100)
    assert len(recent) == 1_024
    assert recent.nearest(0, 1, 20) == [make_contact(2_000 - 1_024)]


def test_knows_who_validated_the_own_address_until_the_contact_is_removed() -> None:
    recent = RecentContacts(table_with([]), LIFETIME)
    recent.on_validated(far(1), 5)
    assert recent.validated_at(far(1)) == -math.inf
    recent.on_reply(far(1), 10)
    recent.on_validated(far(1), 11)
    assert recent.validated_at(far(1)) == 11
    recent.remove(far(1))
    recent.on_reply(far(1), 12)
    assert recent.validated_at(far(1)) == -math.inf
