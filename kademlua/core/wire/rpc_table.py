"""The RPCs of the protocol: names, required validation, and position of the write token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC of the protocol."""

    name: str
    needs_validation: bool = False
    """Whether only a sender with a validated address is served."""
    token_argument: int | None = None
    """The index of the argument that may hold a write token; None if there is none."""
    entries_argument: int | None = None
    """The index of the argument that is a list of several writes; None if there is only one."""
    only_reads: bool = False
    """Whether the limit of stores does not apply, although a sender has to be validated."""


RPCS: Final = {
    rpc.name.encode(): rpc
    for rpc in (
        Rpc("ping"),
        Rpc("findnode"),
        Rpc("findvalue"),
        Rpc("store", needs_validation=True, token_argument=3),
        Rpc("getsocket"),
        Rpc("remove", needs_validation=True, token_argument=2),
        Rpc("leave"),
        Rpc("lacks", needs_validation=True),
        Rpc("reach", needs_validation=True),
        Rpc("reached"),
        Rpc("watch", needs_validation=True, token_argument=2),
        Rpc("changed"),
        Rpc("storemany", needs_validation=True, token_argument=2, entries_argument=1),
        Rpc("findmany", needs_validation=True, token_argument=2, only_reads=True),
    )
}
"""By the name that a request carries."""
