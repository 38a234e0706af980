"""What a reader sees of sealed values."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import Contact, sha1
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.core.watch.opened_changes import OpenedChanges

ADDED, REPLACED, REMOVED, EXPIRED, MISSED = ChangeKind
ALICE, BOB = (Contact("10.0.0.1", 4000 + number, sha1(str(number))) for number in range(2))


def opened(sealed: Any) -> Any | None:
    """Return the value in a list of one, which is the sealed form here."""
    return sealed[0] if isinstance(sealed, list) else None


def test_genuine_values_are_opened() -> None:
    changes = OpenedChanges(opened)
    assert changes.translate([Change(ADDED, ALICE, [1]), Change(ADDED, BOB, [0])]) == [
        Change(ADDED, ALICE, 1),
        Change(ADDED, BOB, 0),
    ]
    assert changes.translate([Change(REPLACED, BOB, [2])]) == [Change(REPLACED, BOB, 2)]
    assert changes.translate([Change(REMOVED, ALICE, [1])]) == [Change(REMOVED, ALICE, 1)]
    assert changes.translate([Change(EXPIRED, BOB, [2])]) == [Change(EXPIRED, BOB, 2)]


@pytest.mark.parametrize("kind", [ADDED, REPLACED, REMOVED, EXPIRED])
def test_others_are_left_out(kind: ChangeKind) -> None:
    assert OpenedChanges(opened).translate([Change(kind, ALICE, b"forged")]) == []


def test_value_that_cannot_be_opened_removes_the_former_one() -> None:
    changes = OpenedChanges(opened)
    changes.translate([Change(ADDED, ALICE, [1])])
    assert changes.translate([Change(REPLACED, ALICE, b"x")]) == [Change(REMOVED, ALICE, 1)]
    assert changes.translate([Change(REMOVED, ALICE, b"x")]) == []
    assert changes.translate([Change(REPLACED, ALICE, [2])]) == [Change(ADDED, ALICE, 2)]


def test_same_value_sealed_again_is_no_change() -> None:
    changes = OpenedChanges(opened)
    changes.translate([Change(ADDED, ALICE, [1])])
    assert changes.translate([Change(REPLACED, ALICE, [1, "another nonce"])]) == []


def test_missed_changes_begin_again() -> None:
    changes = OpenedChanges(opened)
    changes.translate([Change(ADDED, ALICE, [1]), Change(ADDED, BOB, [1])])
    missed = Change(MISSED, None, None)
    assert changes.translate([missed, Change(ADDED, ALICE, [1])]) == [
        missed,
        Change(ADDED, ALICE, 1),
    ]
    assert changes.translate([Change(REMOVED, BOB, [1])]) == []
