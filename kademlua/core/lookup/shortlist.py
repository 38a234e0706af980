"""Shortlist: the contacts that a lookup knows, by distance from its target."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.candidate import Candidate, QueryState, distance_of
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.shortlist_slots import ShortlistSlots, Slot

_FREE: Final = Slot.FREE
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
        "_by_id",
        "_dense_threshold",
        "_density",
        "_distances",
        "_is_dense",
        "_limits",
        "_local_id",
        "_slots",
        "_target",
        "candidates",
        "crowded",
        "k",
    )

    def __init__(self, lookup_input: LookupInput) -> None:
        self.k = lookup_input.k
        self._target = to_int(lookup_input.target)
        self._local_id = lookup_input.local_id
        self.candidates: list[Candidate] = []
        """Those that are not crowded, nearest first."""
        self._distances: list[int] = []
        """The distances of these: numbers are compared fastest."""
        self.crowded: list[Candidate] = []
        """Crowded candidates, nearest first."""
        self._by_id: dict[bytes, Candidate] = {}
        """All candidates by the ids of their contacts."""
        self._limits = lookup_input.limits
        self._slots = ShortlistSlots(lookup_input.limits)
        self._density = density = lookup_input.density
        self._is_dense = False
        self._dense_threshold = 0 if density is None else density.min_distance(self.k // 2)
        """If k // 2 contacts are closer than this distance, they are a cluster."""

    def find(self, contact: Contact) -> Candidate | None:
        """Return the candidate with a contact's id; None if there is none."""
        return self._by_id.get(contact.id)

    def has_state(self, state: QueryState) -> bool:
        """Return whether a candidate is in a state."""
        return any(each.state is state for each in self._by_id.values())

    def is_lost_one_near(self) -> bool:
        """Return whether a lost contact is nearer than the k-th that replied."""
        count = 0
        for candidate in self.query_order():
            if candidate.state is QueryState.LOST:
                return True
            count += candidate.state is QueryState.REPLIED
            if count >= self.k:
                break
        return False

    @property
    def nearest(self) -> Candidate | None:
        """The nearest contact that may be queried; None without contacts."""
        if not self.candidates:
            return None
        nearest = self.candidates[0]
        if self.crowded and len(self.candidates) < self.k:
            return min(nearest, self.crowded[0], key=distance_of)
        return nearest

    def is_certainly_among(self, candidate: Candidate, count: int) -> bool:
        """Return whether a candidate is one of the ``count`` nearest, whatever the states of the
        others; False if that takes a closer look."""
        if self._is_dense or self.crowded:
            return False
        last = min(count, len(self._distances)) - 1
        return last >= 0 and candidate.distance <= self._distances[last]

    def add(self, contacts: Iterable[Contact]) -> int:
        """Add contacts; return how many queried ones were dropped because there were too many."""
        target, local_id, by_id, slots = self._target, self._local_id, self._by_id, self._slots
        endpoints, exempts_private = slots.endpoints, slots.exempts_private
        for contact in contacts:
            node_id = contact.id
            if node_id in by_id or node_id == local_id:  # most contacts in a reply are known
                continue
            if exempts_private and contact.is_private and contact.endpoint not in endpoints:
                endpoints.add(contact.endpoint)  # ``admit``, inlined for the usual case
                slot = _FREE
            else:
                slot = slots.admit(contact)
                if slot is Slot.NONE:
                    continue
            by_id[node_id] = candidate = Candidate(contact, contact.id_int ^ target)
            if slot is _FREE:
                self._insert(candidate)
            else:
                candidate.is_crowded = True
                insort(self.crowded, candidate, key=distance_of)
        self._detect_cluster()
        return self._trim()

    def release(self, failed: Candidate) -> int:
        """Give the slot of a failed contact to others, and return what ``add`` returns."""
        slots = self._slots
        dropped = self.add(slots.release(failed.contact, is_crowded=failed.is_crowded))
        for index, candidate in enumerate(self.crowded):
            if candidate.state is not _FAILED and slots.take_subnet_slot(candidate.contact):
                del self.crowded[index]
                candidate.is_crowded = False
                self._insert(candidate)
                break
        return dropped

    def query_order(self) -> list[Candidate]:
        """Return the candidates in the order of queries: crowded ones last."""
        candidates, limits = self.candidates, self._limits
        if self._is_dense:
            candidates = self._without_dense(candidates)
        if not self.crowded or limits is None:
            return candidates
        if len(candidates) >= self.k:
            return candidates + self.crowded
        # Crowded contacts are needed: the nearest ones of each subnet come first.
        nearest_first = sorted(candidates + self.crowded, key=distance_of)
        ranked = limits.rank([each.contact for each in nearest_first])
        return [self._by_id[contact.id] for contact in ranked]

    def in_states(
        self, count: int, accepted: tuple[QueryState, ...], fallback_count: int = 0
    ) -> list[Contact]:
        """Return the ``count`` closest contacts in these states, and then the fallbacks."""
        crowded = self.crowded
        candidates = self.candidates
        if crowded:
            candidates = sorted(candidates + crowded, key=distance_of)
        if self._is_dense:
            candidates = self._without_dense(candidates)
        if crowded and self._limits is not None:
            found = [each.contact for each in candidates if each.state in accepted]
            return self._limits.select(found, count, fallback_count)
        found = []
        for candidate in candidates:
            if len(found) >= count + fallback_count:
                break
            if candidate.state in accepted:
                found.append(candidate.contact)
        return found

    def _insert(self, candidate: Candidate) -> None:
        """Insert a candidate that is not crowded."""
        distances, distance = self._distances, candidate.distance
        if not distances or distance > distances[-1]:  # the usual case of those to start with
            distances.append(distance)
            self.candidates.append(candidate)
            return
        position = bisect_left(distances, distance)
        distances.insert(position, distance)
        self.candidates.insert(position, candidate)

    def _detect_cluster(self) -> None:
        half, threshold = self.k // 2, self._dense_threshold
        if threshold and len(self._distances) > half and self._distances[half] < threshold:
            self._is_dense = True
            self._dense_threshold = 0

    def _without_dense(self, candidates: list[Candidate]) -> list[Candidate]:
        """Return sorted candidates without unqueried ones that are too dense.

        Failed contacts count: it is easy to name dead ones.
        """
        density = self._density
        assert density is not None
        kept: list[Candidate] = []
        min_distance = density.min_distance(0)
        for candidate in candidates:
            if candidate.state is not _UNQUERIED or candidate.distance >= min_distance:
                kept.append(candidate)
                min_distance = density.min_distance(len(kept))
        return kept

    def _trim(self) -> int:
        """Drop the farthest contacts: malicious replies could make the shortlist long."""
        max_length = _LENGTH_FACTOR * self.k
        dropped = 0
        while len(self.candidates) > max_length:
            self._distances.pop()
            dropped += self._drop(self.candidates.pop())
        while len(self.crowded) > max_length:
            dropped += self._drop(self.crowded.pop())
        return dropped

    def _drop(self, farthest: Candidate) -> bool:
        """Forget a candidate, and return whether its query is in flight."""
        del self._by_id[farthest.contact.id]
        is_queried = farthest.state is _QUERIED
        if farthest.state is not _FAILED:
            self._slots.release(farthest.contact, is_crowded=farthest.is_crowded)
        farthest.state = _FAILED  # its reply will not matter
        return is_queried
