"""What a reader sees of sealed values."""

from __future__ import annotations

from typing import Any

import pytest

from kademlua import Contact, sha1
from kademlua.core.watch.changes import Change, ChangeKind
from kademlua.core.watch.opened_changes import open_changes

ADDED, REPLACED, REMOVED, EXPIRED, MISSED = ChangeKind
OWNERS = [*(Contact("10.0.0.1", 4000 + number, sha1(str(number))) for number in range(2)), None]
"""None: its holders do not tell, as those of version 1.0."""


def opened(sealed: Any) -> Any | None:
    """Return the value in a list of one, which is the sealed form here."""
    return sealed[0] if isinstance(sealed, list) else None


def translated(*changes: Change) -> list[Change]:
    return open_changes(list(changes), opened)


@pytest.mark.parametrize("owner", OWNERS)
def test_genuine_values_are_opened(owner: Contact | None) -> None:
    assert translated(
        Change(ADDED, owner, [1]),
        Change(REPLACED, owner, [2], [1]),
        Change(REMOVED, owner, [2]),
        Change(EXPIRED, owner, [0]),
    ) == [
        Change(ADDED, owner, 1),
        Change(REPLACED, owner, 2),
        Change(REMOVED, owner, 2),
        Change(EXPIRED, owner, 0),
    ]


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("kind", [ADDED, REPLACED, REMOVED, EXPIRED])
def test_others_are_left_out(kind: ChangeKind, owner: Contact | None) -> None:
    assert translated(Change(kind, owner, b"forged", b"also forged")) == []


@pytest.mark.parametrize("owner", OWNERS)
def test_value_that_cannot_be_opened_removes_the_former_one(owner: Contact | None) -> None:
    assert translated(Change(REPLACED, owner, b"x", [1])) == [Change(REMOVED, owner, 1)]
    assert translated(Change(REPLACED, owner, [2], b"x")) == [Change(ADDED, owner, 2)]


def test_same_value_sealed_again_is_no_change() -> None:
    assert translated(Change(REPLACED, OWNERS[0], [1, "another nonce"], [1])) == []


def test_missed_changes_are_told() -> None:
    missed = Change(MISSED, None, None)
    assert translated(missed, Change(ADDED, OWNERS[0], [1])) == [
        missed,
        Change(ADDED, OWNERS[0], 1),
    ]
