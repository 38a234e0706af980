"""Published values and when they are due."""

from __future__ import annotations

import math

from kademlua import Publication, sha1
from kademlua.core.values.publications import Publications

KEYS = [sha1(str(number)) for number in range(9)]


def publication(number: int, encoded: bytes = b"1:v") -> Publication:
    return Publication(KEYS[number], encoded, 100, number)


def taken(publications: Publications, now: float, limit: int = 99) -> list[int]:
    return [each.seq for each in publications.take_due(now, limit)]


def test_value_is_kept_as_it_was() -> None:
    publications = Publications()
    publications.put(publication(1), 10.0)
    assert list(publications) == [publication(1)]
    assert publications.get(KEYS[1]) == publication(1)
    assert publications.get(KEYS[2]) is None
    assert len(publications) == 1


def test_values_are_taken_when_due_and_in_that_order() -> None:
    publications = Publications()
    for number, due_at in enumerate([30.0, 10.5, 10.2, 20.0]):
        publications.put(publication(number), due_at)
    assert publications.next_due_at() == 10.2
    assert taken(publications, 10.0) == []
    assert taken(publications, 10.2) == [2]
    assert publications.next_due_at() == 10.5
    assert taken(publications, 25.0, limit=1) == [1]
    assert taken(publications, 25.0) == [3]
    assert taken(publications, 25.0) == []
    assert taken(publications, 30.0) == [0]
    assert publications.next_due_at() == math.inf


def test_values_may_have_been_due_before_the_clock_began() -> None:
    publications = Publications()
    publications.put(publication(1), -0.5)
    publications.put(publication(2), -7.0)
    assert publications.lag(1.0) == 8
    assert taken(publications, 1.0) == [2, 1]


def test_taken_value_is_due_again_when_it_was_stored_or_failed() -> None:
    publications = Publications()
    publications.put(publication(1), 10.0)
    publications.put(publication(2), 10.0)
    assert sorted(taken(publications, 10.0)) == [1, 2]
    publications.put(publication(1), 20.0, 8)
    publications.retry(KEYS[2], 12.0, 0)
    assert taken(publications, 12.0) == [2]
    assert taken(publications, 20.0) == [1]


def test_replaced_value_is_due_once() -> None:
    publications = Publications()
    publications.put(publication(1), 10.0)
    publications.put(publication(1), 10.5)
    publications.put(publication(1), 30.0)
    assert taken(publications, 20.0) == []
    assert taken(publications, 30.0) == [1]


def test_removed_value_is_not_due() -> None:
    publications = Publications()
    publications.put(publication(1), 10.0, 3)
    assert publications.remove(KEYS[1])
    assert not publications.remove(KEYS[1])
    publications.retry(KEYS[1], 11.0, 0)
    assert taken(publications, 20.0) == []
    assert publications.copies == {}
    assert len(publications) == 0


def test_copies() -> None:
    publications = Publications()
    publications.put(publication(0), 10.0)  # not stored yet
    for number, copies in [(1, 20), (2, 20), (3, 7)]:
        publications.put(publication(number), 10.0, copies)
    assert publications.copies == {20: 2, 7: 1}
    publications.put(publication(3), 10.0, 20)
    publications.retry(KEYS[2], 12.0, 0)
    assert publications.copies == {20: 2, 0: 1}


def test_lag_is_that_of_the_oldest_value_that_was_not_stored() -> None:
    publications = Publications()
    assert publications.lag(5.0) == 0
    publications.put(publication(1), 10.0)
    publications.put(publication(2), 30.0)
    assert publications.lag(9.0) == 0
    assert publications.lag(15.0) == 5
    publications.take_due(20.0, 1)
    assert publications.lag(21.0) == 11  # it is being stored
    publications.retry(KEYS[1], 50.0, 0)
    assert publications.lag(40.0) == 30  # it failed
    publications.put(publication(1), 100.0, 8)
    assert publications.lag(40.0) == 10
    publications.remove(KEYS[2])
    assert publications.lag(40.0) == 0
