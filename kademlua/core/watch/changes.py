"""What a watch reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kademlua.core.contact import Contact


class ChangeKind(StrEnum):
    """What happened to a value."""

    ADDED = "added"
    """The first value of an owner; also each value that exists when a watch begins."""
    REPLACED = "replaced"
    REMOVED = "removed"
    EXPIRED = "expired"
    MISSED = "missed"
    """The consumer was slow, and changes were left out. The values that exist follow, as added."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a watched key."""

    kind: ChangeKind
    owner: Contact | None
    """Who stored the value; None for ``MISSED``, and if only holders were asked that do not tell,
    such as those of version 1.0."""
    value: Any
    """The new value; for a value that is gone, the last one."""
    former: Any = field(default=None, compare=False, repr=False)
    """The value that was replaced; None for other kinds."""
