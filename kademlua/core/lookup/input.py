"""LookupInput: the target, limits and hooks of one lookup."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kademlua.core.contact import Contact
from kademlua.core.routing.diversity import DiversityLimits, IdDensity

if TYPE_CHECKING:
    from kademlua.core.lookup.lookup import Lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupInput:
    """What a lookup searches, and within which limits."""

    target: bytes
    local_id: bytes
    """The id of this node, which is never queried."""
    k: int
    """Contacts to find."""
    alpha: int
    """Queries in flight."""
    saves_queries: bool = False
    """Whether to widen the lookup only after the closest contact has replied."""
    stop_when: Callable[[Lookup], bool] | None = None
    """Called after each reply; the lookup ends when it returns True. Ignored on several paths."""
    awaits_lost: Callable[[], bool] = lambda: False
    """Whether to wait for contacts that were late twice, too: one of them may be the only one that
    has what the owner searches."""
    limits: DiversityLimits | None = None
    """Limits for contacts of one subnet; None for no limits."""
    density: IdDensity | None = None
    """Bounds for the distances between ids; None while the size of the network is unknown."""
    claim: Callable[[Contact], bool] | None = None
    """Called before each query; False if another path has queried the contact."""
    path_count: int = 1
    """Disjoint paths, of which this lookup is one."""
    late_contacts: Collection[Contact] = ()
    """Contacts that have been late since their last reply, a live view: queried after others."""
    fallback_contacts: Callable[[], Iterable[Contact]] | None = None
    """Returns contacts farther away, used if a Sybil cluster hides the closer ones."""
