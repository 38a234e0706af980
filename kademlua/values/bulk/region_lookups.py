"""RegionLookups: lookups that neighbouring keys share, also those of several operations."""

from __future__ import annotations

from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int, to_int
from kademlua.core.lookup.region import Region
from kademlua.lookup.search_options import SearchOptions
from kademlua.lookup.service import LookupService
from kademlua.runtime.context import Context
from kademlua.values.bulk.job import Job

_MAX_LOOKUPS: Final = 12
"""Lookups for one key. More are needed only in a network that changes meanwhile."""
_VALID_SECONDS: Final = 300.0
"""Seconds until nodes are looked up again: others may have joined."""


class RegionLookups:
    """The replicas of many keys, with as few lookups as possible."""

    def __init__(self, context: Context, lookups: LookupService) -> None:
        self._context = context
        self._lookups = lookups
        self._params = context.params
        self._region = Region()
        self._valid_until = context.clock()
        self.write_tokens: dict[Contact, tuple[bytes, bytes]] = {}
        """The key for which a contact gave a write token, and the token."""

    def forget_old(self) -> None:
        """Forget the nodes if they were looked up some minutes ago."""
        context = self._context
        if context.clock() >= self._valid_until:
            self._region = Region([] if context.is_client else [context.local_contact])
            self._valid_until = context.clock() + _VALID_SECONDS
            self.write_tokens = {}

    def remove(self, contact: Contact) -> None:
        """Forget a node that does not reply."""
        self._region.remove(contact)

    def nearest(self, key: bytes, count: int) -> list[Contact]:
        """Return the known nodes closest to a key, nearest first, up to ``count``."""
        return self._region.nearest(to_int(key), count)

    def replicas(self, key: bytes, job: Job) -> list[Contact] | None:
        """Return the replicas of a key, nearest first, this node among them if it is one.

        None if they are not certain; the key then needs a lookup of its own. Blocks this greenlet
        for a lookup of a neighbourhood that is not known yet.

        Raises:
            NodeClosed: The node is closed.
            TooManyCalls: Too many calls are in flight.
        """
        key_int, count = to_int(key), self._params.replicas
        for _ in range(_MAX_LOOKUPS):
            target = self._region.next_target(key_int, count)
            if target is None:
                return self._region.replicas(key_int, count)
            if not self._look_up(target, job):
                return None
        return None

    def _look_up(self, target_int: int, job: Job) -> bool:
        """Add the nodes closest to a target to the region; return False if the time was up."""
        target = from_int(target_int)
        region, write_tokens = self._region, self.write_tokens
        options = SearchOptions(purpose=job.purpose, path_count=self._params.disjoint_paths)
        found = self._lookups.run_node_lookup(target, options)
        job.tally.lookups += 1
        job.tally.queries += found.lookup.queries
        if found.is_complete:
            region.add(target_int, found.lookup.closest(), found.lookup.k)
        for contact, token in found.write_tokens.items():
            write_tokens[contact] = target, token
        return found.is_complete
