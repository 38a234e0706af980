"""LookupInput: the target, limits and hooks of one lookup."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS
from kademlua.core.routing.diversity import DiversityLimits, IdDensity

if TYPE_CHECKING:
    from kademlua.core.lookup.lookup import Lookup

_INFINITE_DISTANCE: Final = 1 << ID_BITS


@dataclass(slots=True, kw_only=True)  # not frozen: making one would take four times as long
class LookupInput:
    """What a lookup searches, and within which limits."""

    target: bytes
    local_id: bytes
    """The id of this node, which is never queried."""
    k: int
    """Contacts to find."""
    alpha: int
    """Queries in flight."""
    certain_alpha: int = 0
    """Queries in flight while the next contact is almost certainly one of the k closest, so that it
    has to be queried anyway; 0 for no more than ``alpha``. Ignored on several paths."""
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

    @property
    def certain_distance(self) -> int:
        """The distance within which contacts are almost certainly among the k closest."""
        if self.density is None or not self.certain_alpha:
            return 0
        return self.density.max_replica_distance(self.k)

    @property
    def sparse_threshold(self) -> int:
        """The distance of the k-th contact beyond which other contacts are hidden."""
        if self.density is None:
            return _INFINITE_DISTANCE
        return self.density.max_kth_distance(self.k, self.path_count)
