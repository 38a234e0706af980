"""RegionLookups: lookups that neighbouring keys share."""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int, to_int
from kademlua.core.lookup.region import Region
from kademlua.core.reasons import Purpose
from kademlua.lookup.search_options import SearchOptions
from kademlua.lookup.service import LookupService
from kademlua.runtime.context import Context
from kademlua.values.bulk.tally import Tally

_MAX_LOOKUPS: Final = 12
"""Lookups for one key. More are needed only in a network that changes meanwhile."""


class RegionLookups:
    """The replicas of many keys of one operation, with as few lookups as possible."""

    def __init__(
        self, context: Context, lookups: LookupService, purpose: Purpose, tally: Tally
    ) -> None:
        """Prepare; ``tally`` counts the lookups and their queries."""
        self._lookups = lookups
        self._params = context.params
        self._purpose = purpose
        self._tally = tally
        self.region = Region([] if context.is_client else [context.local_contact])
        self.write_tokens: dict[Contact, tuple[bytes, bytes]] = {}
        """The key for which a contact gave a write token, and the token."""

    def replicas(self, key: bytes) -> list[Contact] | None:
        """Return the replicas of a key, nearest first, this node among them if it is one.

        None if they are not certain; the key then needs a lookup of its own. Blocks this greenlet
        for a lookup of a neighbourhood that is not known yet.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        key_int, count = to_int(key), self._params.replicas
        for _ in range(_MAX_LOOKUPS):
            target = self.region.next_target(key_int, count)
            if target is None:
                return self.region.replicas(key_int, count)
            if not self._look_up(target):
                return None
        return None

    def _look_up(self, target_int: int) -> bool:
        """Add the nodes closest to a target to the region; return False if the time was up."""
        target = from_int(target_int)
        options = SearchOptions(purpose=self._purpose, path_count=self._params.disjoint_paths)
        found = self._lookups.run_node_lookup(target, options)
        self._tally.lookups += 1
        self._tally.queries += found.lookup.queries
        if found.is_complete:
            self.region.add(target_int, found.lookup.closest(), found.lookup.k)
        for contact, token in found.write_tokens.items():
            self.write_tokens[contact] = target, token
        return found.is_complete
