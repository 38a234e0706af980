"""RegionLookups: lookups that neighbouring keys share, also those of several operations."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from gevent.event import Event

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS, from_int, to_int
from kademlua.core.lookup.region import Region
from kademlua.lookup.search_options import SearchOptions
from kademlua.lookup.service import LookupService
from kademlua.runtime.context import Context
from kademlua.values.bulk.job import Job

_MAX_LOOKUPS: Final = 12
"""Lookups for one key. More are needed only in a network that changes meanwhile."""
_MIN_SHARED: Final = 4
"""Keys per shared lookup from which on it costs less than lookups of single keys."""
_VALID_SECONDS: Final = 600.0
"""Seconds until nodes are looked up again: others may have joined."""
_SILENT_SECONDS: Final = 60.0
"""Seconds until a node that did not reply is tried again, if no lookup meets it before."""
_FORGET_INTERVAL: Final = 60.0


class _Found(NamedTuple):
    """The result of a complete lookup."""

    at: float
    target: int
    closest: list[Contact]
    k: int


class RegionLookups:
    """The replicas of many keys, with as few lookups as possible."""

    def __init__(self, context: Context, lookups: LookupService) -> None:
        self._context = context
        self._lookups = lookups
        self._params = context.params
        self._found: list[_Found] = []
        self._region = Region()
        self._forgot_at = -math.inf
        self._silent: dict[Contact, float] = {}
        """Nodes that did not reply to a store, and when."""
        self._in_flight: dict[int, Event] = {}
        """The neighbourhoods that are being looked up."""
        self.write_tokens: dict[Contact, tuple[bytes, bytes]] = {}
        """The key for which a contact gave a write token, and the token."""

    def are_dense(self, keys: list[bytes]) -> bool:
        """Return whether lookups that sorted keys share cost less than one for each key."""
        if not keys:
            return False
        span = (to_int(keys[-1]) - to_int(keys[0])) / (1 << ID_BITS)
        expected = span * self._lookups.network_size() / self._params.k
        return len(keys) >= _MIN_SHARED * max(1.0, expected)

    def forget_old(self) -> None:
        """Forget nodes that were looked up some minutes ago."""
        context = self._context
        now = context.clock()
        if now < self._forgot_at + _FORGET_INTERVAL:
            return
        self._forgot_at = now
        self._found = [each for each in self._found if each.at > now - _VALID_SECONDS]
        self._region = Region([] if context.is_client else [context.local_contact])
        for each in self._found:
            self._region.add(each.target, each.closest, each.k)
        self._silent = {
            contact: at for contact, at in self._silent.items() if at > now - _SILENT_SECONDS
        }
        for contact in self._silent:
            self._region.remove(contact)
        current = {contact for each in self._found for contact in each.closest}
        self.write_tokens = {
            contact: token for contact, token in self.write_tokens.items() if contact in current
        }

    def remove(self, contact: Contact) -> None:
        """Forget a node that does not reply."""
        self._silent[contact] = self._context.clock()
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
            found = self._region.replicas(key_int, count)
            if found is not None:
                return found
            target = self._region.next_target(key_int, count)
            if target is None or not self._look_up_once(target, job):
                return None
        return None

    def _look_up_once(self, target: int, job: Job) -> bool:
        """Look up a target, or wait for a lookup of its neighbourhood; return False if the time
        was up."""
        neighbourhoods = self._lookups.network_size() // self._params.k
        prefix = target >> ID_BITS - neighbourhoods.bit_length()
        other = self._in_flight.get(prefix)
        if other is not None:
            other.wait()
            return True
        done = self._in_flight[prefix] = Event()
        try:
            return self._look_up(target, job)
        finally:
            del self._in_flight[prefix]
            done.set()

    def _look_up(self, target_int: int, job: Job) -> bool:
        """Add the nodes closest to a target to the region; return False if the time was up."""
        target = from_int(target_int)
        options = SearchOptions(purpose=job.purpose, path_count=self._params.disjoint_paths)
        found = self._lookups.run_node_lookup(target, options)
        job.tally.lookups += 1
        job.tally.queries += found.lookup.queries
        if found.is_complete:
            result = _Found(
                self._context.clock(), target_int, found.lookup.closest(), found.lookup.k
            )
            self._found.append(result)
            self._region.add(result.target, result.closest, result.k)
            for each in result.closest:
                self._silent.pop(each, None)
        for contact, token in found.write_tokens.items():
            self.write_tokens[contact] = target, token
        return found.is_complete
