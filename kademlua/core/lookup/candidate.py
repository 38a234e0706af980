"""Candidate: a contact that a lookup knows, and the state of its query."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from kademlua.core.contact import Contact


class QueryState(IntEnum):
    """The state of a contact in a lookup."""

    UNQUERIED = 0
    QUERIED = 1
    """Queried, and not late yet."""
    SLOW = 2
    """Late once: another contact got its slot, and the lookup waits for both."""
    LOST = 3
    """Late twice: the lookup waits only if fewer than k others are live."""
    REPLIED = 4
    FAILED = 5
    CLAIMED = 6
    """Queried by another disjoint path."""


_UNQUERIED: Final = QueryState.UNQUERIED  # members of an enum are read slowly


class Candidate:
    """A contact that a lookup knows."""

    __slots__ = ("contact", "distance", "is_crowded", "state")

    def __init__(self, contact: Contact, distance: int) -> None:
        self.contact = contact
        self.distance = distance
        """The distance from the lookup's target."""
        self.is_crowded = False
        """Whether others have taken the slots of its subnet."""
        self.state = _UNQUERIED


def distance_of(candidate: Candidate) -> int:
    """Return the distance, as a key to sort by."""
    return candidate.distance


def next_anchor(anchors: list[Candidate]) -> Candidate | None:
    """Return the first candidate, of those that one reply is wanted of, whose reply may still come.

    Return None after a reply. Candidates that do not reply are dropped from the list.
    """
    while anchors:
        state = anchors[0].state
        if state is QueryState.REPLIED:
            anchors.clear()
        elif state is QueryState.LOST or state is QueryState.FAILED or state is QueryState.CLAIMED:
            del anchors[0]
        else:
            return anchors[0]
    return None
