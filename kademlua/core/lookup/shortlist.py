"""Shortlist: the contacts that a lookup knows, by distance from its target."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from itertools import chain
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.query_state import QueryState
from kademlua.core.lookup.shortlist_slots import ShortlistSlots, Slot

_UNQUERIED: Final = QueryState.UNQUERIED
_QUERIED: Final = QueryState.QUERIED
_FAILED: Final = QueryState.FAILED

_LENGTH_FACTOR: Final = 16
"""Length of the shortlist, as a multiple of k."""


class Shortlist:
    """The contacts of one lookup and their states.

    There is one contact per endpoint, and few per subnet. Others of the same subnet are crowded:
    they are queried, and are part of results, only if there are too few contacts without them.
    Contacts that are denser than the size of the network explains are left out.
    """

    __slots__ = (
        "_dense_threshold",
        "_density",
        "_ids",
        "_is_dense",
        "_limits",
        "_slots",
        "_target",
        "contacts",
        "crowded",
        "distances",
        "k",
        "states",
    )

    def __init__(self, lookup_input: LookupInput) -> None:
        self.k = lookup_input.k
        self._target = to_int(lookup_input.target)
        self._ids = {lookup_input.local_id}
        """The ids of all contacts, and that of this node, which does not query itself."""
        # Plain dictionaries: an object per candidate would be more work for the garbage collector.
        self.distances: list[int] = []
        """Sorted distances from the target."""
        self.crowded: list[int] = []
        """Sorted distances of crowded contacts."""
        self.contacts: dict[int, Contact] = {}
        """Contacts by distance, crowded ones included."""
        self.states: dict[int, QueryState] = {}
        """States by distance, those of crowded contacts included."""
        self._limits = lookup_input.limits
        self._slots = ShortlistSlots(lookup_input.limits)
        self._density = density = lookup_input.density
        self._is_dense = False
        self._dense_threshold = 0 if density is None else density.min_distance(self.k // 2)
        """If k // 2 contacts are closer than this distance, they are a cluster."""

    @property
    def nearest(self) -> int:
        """The distance of the nearest contact that may be queried; 0 without contacts."""
        if not self.distances:
            return 0
        if self.crowded and len(self.distances) < self.k:
            return min(self.distances[0], self.crowded[0])
        return self.distances[0]

    def is_certainly_among(self, distance: int, count: int) -> bool:
        """Return whether the contact at a distance is one of the ``count`` nearest, whatever the
        states of the others; False if that takes a closer look."""
        if self._is_dense or self.crowded:
            return False
        distances = self.distances
        position = bisect_left(distances, distance)
        return position < min(count, len(distances)) and distances[position] == distance

    def add(self, contacts: Iterable[Contact]) -> int:
        """Add contacts; return how many queried ones were dropped because there were too many."""
        states, target, distances = self.states, self._target, self.distances
        by_distance, ids, slots = self.contacts, self._ids, self._slots
        endpoints, exempts_private = slots.endpoints, slots.exempts_private
        for contact in contacts:
            if contact.id not in ids:  # most contacts in a reply are known
                distance = contact.id_int ^ target
                if exempts_private and contact.is_private and contact.endpoint not in endpoints:
                    endpoints.add(contact.endpoint)  # ``admit``, inlined for the usual case
                    insort(distances, distance)
                elif slot := slots.admit(contact):
                    insort(self.crowded if slot is Slot.CROWDED else distances, distance)
                else:
                    continue
                ids.add(contact.id)
                states[distance] = _UNQUERIED
                by_distance[distance] = contact
        dropped = 0
        if len(distances) > _LENGTH_FACTOR * self.k or len(self.crowded) > _LENGTH_FACTOR * self.k:
            dropped = self._trim(distances) + self._trim(self.crowded)
        if self._dense_threshold:
            half = self.k // 2
            if len(distances) > half and distances[half] < self._dense_threshold:
                self._is_dense = True
                self._dense_threshold = 0
        return dropped

    def release(self, contact: Contact) -> int:
        """Give the slot of a failed contact to others, and return what ``add`` returns."""
        slots, crowded = self._slots, self.crowded
        is_crowded = contact.id_int ^ self._target in crowded
        dropped = self.add(slots.release(contact, is_crowded=is_crowded))
        for distance in crowded:
            is_live = self.states[distance] is not _FAILED
            if is_live and slots.take_subnet_slot(self.contacts[distance]):
                crowded.remove(distance)
                insort(self.distances, distance)
                break
        return dropped

    def query_order(self) -> Iterable[int]:
        """Return the distances of the contacts in the order of queries: crowded ones last."""
        distances, crowded, limits = self.distances, self.crowded, self._limits
        if self._is_dense:
            distances = self._without_dense(distances)
        if not crowded or limits is None:
            return distances
        if len(distances) >= self.k:
            return chain(distances, crowded)
        # Crowded contacts are needed: the nearest ones of each subnet come first.
        ranked = limits.rank([self.contacts[each] for each in sorted(distances + crowded)])
        return [contact.id_int ^ self._target for contact in ranked]

    def in_states(
        self, count: int, accepted: tuple[QueryState, ...], fallback_count: int = 0
    ) -> list[Contact]:
        """Return the ``count`` closest contacts in these states, and then the fallbacks."""
        states, contacts, crowded = self.states, self.contacts, self.crowded
        distances = sorted(self.distances + crowded) if crowded else self.distances
        if self._is_dense:
            distances = self._without_dense(distances)
        found = [contacts[each] for each in distances if states[each] in accepted]
        if not crowded or self._limits is None:
            return found[: count + fallback_count]
        return self._limits.select(found, count, fallback_count)

    def _without_dense(self, distances: list[int]) -> list[int]:
        """Return sorted distances without those of unqueried contacts that are too dense.

        Failed contacts count: it is easy to name dead ones.
        """
        density, states = self._density, self.states
        assert density is not None
        kept: list[int] = []
        min_distance = density.min_distance(0)
        for distance in distances:
            if states[distance] is not _UNQUERIED or distance >= min_distance:
                kept.append(distance)
                min_distance = density.min_distance(len(kept))
        return kept

    def _trim(self, distances: list[int]) -> int:
        """Drop the farthest contacts: malicious replies could make the shortlist long."""
        dropped = 0
        while len(distances) > _LENGTH_FACTOR * self.k:
            farthest = distances.pop()
            state = self.states.pop(farthest)
            dropped += state is _QUERIED
            contact = self.contacts.pop(farthest)
            self._ids.discard(contact.id)
            if state is not _FAILED:
                self._slots.release(contact, is_crowded=distances is self.crowded)
        return dropped
