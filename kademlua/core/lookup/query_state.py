"""QueryState: the state of a contact in a lookup."""

from __future__ import annotations

from enum import IntEnum


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
