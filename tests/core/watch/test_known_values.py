"""What a watcher shows, given the reports of its holders."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from kademlua import Contact, sha1
from kademlua.core.watch.changes import ChangeKind
from kademlua.core.watch.known_values import KnownValues
from kademlua.core.watch.snapshot import HeldValue, digest

OWNERS = [Contact("10.0.0.1", 4000 + number, sha1(str(number))) for number in range(4)]


def held(owner: int, seq: int, expires_at: float = 1_000.0) -> HeldValue:
    return HeldValue(OWNERS[owner], seq, b"i%de" % seq, expires_at)


def known() -> KnownValues:
    return KnownValues(lambda values: values)


def kinds(values: KnownValues, now: float = 0.0) -> list[tuple[ChangeKind, object]]:
    return [(change.kind, change.value) for change in values.changes(now)]


def test_value_counts_as_soon_as_one_holder_has_it() -> None:
    values = known()
    values.report("a", [])
    values.report("b", [held(0, 1)])
    assert kinds(values) == [(ChangeKind.ADDED, 1)]
    values.report("c", [])
    assert kinds(values) == []


def test_value_is_gone_when_most_of_those_that_had_it_lost_it() -> None:
    values = known()
    for holder in "abc":
        values.report(holder, [held(0, 1)])
    assert kinds(values) == [(ChangeKind.ADDED, 1)]
    values.report("a", [])
    assert kinds(values) == []
    values.report("b", [])
    assert kinds(values) == [(ChangeKind.REMOVED, 1)]


def test_holder_that_is_behind_does_not_bring_a_value_back() -> None:
    values = known()
    for holder in "abc":
        values.report(holder, [held(0, 5)])
    kinds(values)
    values.report("a", [])
    values.report("b", [])
    kinds(values)
    values.report("c", [held(0, 5)])
    assert kinds(values) == []
    values.report("c", [held(0, 6)])
    assert kinds(values) == [(ChangeKind.ADDED, 6)]


def test_holder_that_left_is_not_counted() -> None:
    values = known()
    for holder in "abc":
        values.report(holder, [held(0, 1)])
    kinds(values)
    values.forget("a")
    values.forget("b")
    values.report("d", [])
    assert kinds(values) == []
    values.report("c", [])
    assert kinds(values) == [(ChangeKind.REMOVED, 1)]


def test_newest_version_counts_and_an_older_one_does_not_bring_the_former_back() -> None:
    values = known()
    values.report("a", [held(0, 1)])
    values.report("b", [held(0, 1)])
    assert kinds(values) == [(ChangeKind.ADDED, 1)]
    values.report("a", [held(0, 2)])
    assert kinds(values) == [(ChangeKind.REPLACED, 2)]
    values.report("b", [held(0, 1)])
    assert kinds(values) == []


def test_value_that_is_gone_after_its_time_has_expired() -> None:
    values = known()
    values.report("a", [held(0, 1, expires_at=10.0)])
    kinds(values)
    values.report("a", [])
    assert kinds(values, now=10.0) == [(ChangeKind.EXPIRED, 1)]


def test_without_holders_nothing_counts_as_removed() -> None:
    values = known()
    values.report("a", [held(0, 1)])
    kinds(values)
    values.forget("a")
    assert kinds(values) == []


snapshots = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=4, unique_by=lambda row: row[0]
)


@given(st.lists(st.tuples(st.sampled_from("abc"), snapshots), max_size=30))
def test_changes_add_up_to_what_is_shown(
    reports: list[tuple[str, list[tuple[int, int]]]],
) -> None:
    values = known()
    shown: dict[Contact | None, object] = {}
    for holder, rows in reports:
        values.report(holder, [held(*row) for row in rows])
        for change in values.changes(0.0):
            if change.kind in (ChangeKind.REMOVED, ChangeKind.EXPIRED):
                assert shown.pop(change.owner) == change.value
            else:
                assert (change.owner in shown) == (change.kind is ChangeKind.REPLACED)
                shown[change.owner] = change.value
    assert shown == {change.owner: change.value for change in values.shown()}


@given(snapshots, st.randoms())
def test_digest_does_not_depend_on_the_order(rows: list[tuple[int, int]], rng: object) -> None:
    values = [held(*row) for row in rows]
    shuffled = values.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert digest(values) == digest(shuffled)
    assert len(digest(values)) == 8
    if values:
        assert digest(values) != digest(values[1:])


@given(data=st.data())
def test_any_reports_and_losses_of_holders_are_survived(data: st.DataObject) -> None:
    values = known()
    holders = st.sampled_from("abcd")
    reports = st.lists(st.builds(held, st.integers(0, 3), st.integers(0, 3)), max_size=4)
    shown: set[object] = set()
    for _ in range(data.draw(st.integers(0, 30))):
        if data.draw(st.booleans()):
            values.report(data.draw(holders), data.draw(reports))
        else:
            values.forget(data.draw(holders))
        for change in values.changes(0.0):
            if change.kind is ChangeKind.ADDED:
                assert change.owner not in shown
                shown.add(change.owner)
            elif change.kind is not ChangeKind.REPLACED:
                shown.remove(change.owner)
        assert {change.owner for change in values.shown()} == shown


def test_value_that_a_stale_holder_brings_back_may_go_again() -> None:
    values = known()
    for holder in "abc":
        values.report(holder, [held(0, 1)])
    assert kinds(values) == [(ChangeKind.ADDED, 1)]
    values.report("a", [])
    values.report("b", [])
    assert kinds(values) == [(ChangeKind.REMOVED, 1)]
    values.forget("a")
    values.forget("b")
    assert kinds(values) == [(ChangeKind.ADDED, 1)]
    values.report("c", [])
    assert kinds(values) == [(ChangeKind.REMOVED, 1)]


def test_values_that_are_never_shown_leave_nothing_behind() -> None:
    values = KnownValues(lambda values: [])  # as next to a record

    def report(count: int) -> None:
        for number in range(count):
            owner = Contact("10.0.0.1", 4000, sha1(str(number)))
            values.report("a", [HeldValue(owner, 1, b"1:v", 9.0)])
            assert kinds(values) == []

    report(10)
    tracemalloc.start()
    try:
        report(2_000)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 20_000


# Holders that do not tell the owners.


def found(*values: int) -> list[HeldValue]:
    return [HeldValue(None, 0, b"i%de" % each, math.inf) for each in values]


def test_value_of_an_unknown_owner_is_replaced_by_another_one() -> None:
    values = known()
    values.report("a", found(1, 2))
    assert kinds(values) == [(ChangeKind.ADDED, 1), (ChangeKind.ADDED, 2)]
    values.report("a", found(2, 3, 4))
    assert kinds(values) == [(ChangeKind.REPLACED, 3), (ChangeKind.ADDED, 4)]
    values.report("a", [])
    assert {kind for kind, _ in kinds(values)} == {ChangeKind.REMOVED}


def test_change_has_the_value_that_was_replaced() -> None:
    values = known()
    values.report("a", [held(0, 1)])
    assert [each.former for each in values.changes(0.0)] == [None]
    values.report("a", [held(0, 2)])
    assert [each.former for each in values.changes(0.0)] == [1]
    values.report("b", found(3))
    values.changes(0.0)
    values.report("b", found(4))
    assert [each.former for each in values.changes(0.0)] == [3]


def test_value_whose_owner_becomes_known_or_unknown_has_not_changed() -> None:
    values = known()
    values.report("a", found(5))
    kinds(values)
    for _ in range(3):
        values.forget("a")
        values.report("b", [held(0, 5)])
        assert kinds(values) == []
        assert values.shown()[0].owner == OWNERS[0]
        values.forget("b")
        values.report("a", found(5))
        assert kinds(values) == []
        assert values.shown()[0].owner is None


@given(
    reports=st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 5), max_size=3), st.booleans()),
        max_size=30,
    )
)
def test_changes_of_unknown_owners_lead_to_what_is_shown(
    reports: list[tuple[str, list[int], bool]],
) -> None:
    values = known()
    shown: Counter[object] = Counter()
    for holder, numbers, tells_owner in reports:
        held_values = [held(each % 4, each) for each in numbers]
        values.report(holder, held_values if tells_owner else found(*numbers))
        before = Counter(each.value for each in values.shown())
        changes = values.changes(0.0)
        assert shown == before
        shown = Counter(each.value for each in values.shown())
        grown = sum(each.kind == ChangeKind.ADDED for each in changes)
        shrunk = sum(each.kind == ChangeKind.REMOVED for each in changes)
        assert shown.total() == before.total() + grown - shrunk
