"""The changes of a key whose values are sealed, as a reader sees them who can open some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kademlua.core.watch.changes import Change, ChangeKind


def open_changes(changes: list[Change], open_value: Callable[[Any], Any | None]) -> list[Change]:
    """Return what changes mean to the reader; ``open_value`` returns None for what is not
    genuine."""
    opened = [_open_change(each, open_value) for each in changes]
    return [each for each in opened if each is not None]


def _open_change(change: Change, open_value: Callable[[Any], Any | None]) -> Change | None:
    kind, owner = change.kind, change.owner
    if kind is ChangeKind.MISSED:
        return change
    value = open_value(change.value)
    if kind is not ChangeKind.REPLACED:
        return None if value is None else Change(kind, owner, value)
    former = open_value(change.former)
    if value == former:  # sealed again, or neither is genuine
        return None
    if former is None:
        return Change(ChangeKind.ADDED, owner, value)
    if value is None:  # one that cannot be opened is in place of the value
        return Change(ChangeKind.REMOVED, owner, former)
    return Change(kind, owner, value, former)
