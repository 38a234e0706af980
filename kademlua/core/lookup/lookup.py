"""Lookup: the shortlist of one lookup, whom to ask next, and when it is done.

It is handed a function that asks a contact and told what came of it. There are no rounds:
each answer, error or lateness at once frees a slot, and the next contact is asked
(Maymounkov and Mazières 2002, section 2.3).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable

from kademlua.core.contact import Contact
from kademlua.core.ids import ID_BITS, to_int
from kademlua.core.lookup.shortlist_slots import ShortlistSlots
from kademlua.core.routing.diversity import DiversityLimits, IdDensity

_FRESH, _ASKED, _LATE, _LOST, _ANSWERED, _FAILED, _TAKEN = range(7)

_INFINITE_DISTANCE = 1 << ID_BITS
_SHORTLIST_FACTOR = 16
"""The shortlist holds at most so many times k contacts."""
_QUERY_FACTOR = 32
"""A lookup asks at most so many times k contacts: who leads it on forever, in vain."""
_MAX_EXTRA_QUERIES = 30
"""Contacts beyond the k nearest that may be asked: the rest of what one gang tells of, and a
score of others."""


class Lookup:
    """The search for the ``k`` live contacts closest to ``target``.

    ``alpha`` are asked at a time on the way there. Once an answer told of nobody nearer, all
    of the k closest are asked at once: they have to be anyway, and it saves round trips. With
    ``saves_queries`` only once the nearest itself told so: what is sought may end the lookup
    before.

    ``ask(contact)`` must not block, and must lead to one of ``on_reply`` and ``on_failure``
    later, with at most two ``on_late`` before. ``finished()`` is called once: when the k
    closest have answered (those not counted that are dead, or late for the second time),
    when nobody is left to ask, when an answer makes ``until(self)`` true, or on ``stop``.

    The shortlist has one id of an endpoint, and no more contacts of a network than ``limits``
    say. Where ids are nearer to each other than ``spread`` allows, those too many are passed
    over: neither asked nor found. Where the k closest are farther apart than it says, some
    others are asked before it is finished.
    """

    __slots__ = (
        "_can_widen",
        "_claim",
        "_concurrency",
        "_contacts",
        "_dense_threshold",
        "_density",
        "_extra_queries_left",
        "_fallback_contacts",
        "_in_flight",
        "_is_dense",
        "_local_id",
        "_on_finished",
        "_query",
        "_saves_queries",
        "_shortlist",
        "_slots",
        "_sparse_threshold",
        "_states",
        "_stop_when",
        "_target",
        "is_finished",
        "k",
        "queries",
    )

    def __init__(
        self,
        target: bytes,
        *,
        local_id: bytes,
        k: int,
        alpha: int,
        query: Callable[[Contact], None],
        on_finished: Callable[[], None],
        saves_queries: bool = False,
        stop_when: Callable[[Lookup], bool] | None = None,
        limits: DiversityLimits | None = None,
        density: IdDensity | None = None,
        claim: Callable[[Contact], bool] | None = None,
        path_count: int = 1,
        fallback_contacts: Callable[[], Iterable[Contact]] | None = None,
    ) -> None:
        """``fallback_contacts()`` gives contacts farther away, for where a gang hides those that
        are near. ``claim(contact)`` is asked before a contact is, and is false where another of the
        ``path_count`` lookups of this target has taken it."""
        self.k = k
        self.is_finished = False
        self.queries = 0
        """Contacts asked so far."""
        self._target = to_int(target)
        self._local_id = local_id
        self._concurrency = alpha
        """Calls that may be in flight now."""
        self._in_flight = 0
        self._can_widen = True
        """Whether the last step, in which more may be in flight, can still come."""
        self._saves_queries = saves_queries
        self._stop_when = stop_when
        self._query = query
        self._on_finished = on_finished
        # Distances to the target in order; who is that far away, and what became of it.
        # (Plain dictionaries: an object per candidate doubles the garbage collector's work.)
        self._shortlist: list[int] = []
        self._contacts: dict[int, Contact] = {}
        self._states: dict[int, int] = {}
        self._slots = ShortlistSlots(limits)
        self._density = density
        self._dense_threshold = 0 if density is None else density.min_distance(k // 2)
        """Where one with half of k others nearer is nearer than this, there is a crowd; 0 where
        that is known."""
        self._is_dense = False
        self._sparse_threshold = (
            _INFINITE_DISTANCE if density is None else density.max_kth_distance(k, path_count)
        )
        """Where the last of the k nearest is farther away than this, others are hidden."""
        self._extra_queries_left = _MAX_EXTRA_QUERIES
        self._fallback_contacts = fallback_contacts
        self._claim = claim

    def start(self, seeds: Iterable[Contact]) -> None:
        """Begin with these contacts; finishes at once where there are none."""
        self._add(seeds)
        self._advance()

    def on_reply(self, contact: Contact, closer: Iterable[Contact]) -> None:
        """``contact`` answered, and told of other contacts."""
        if self._settle(contact, _ANSWERED):
            nearest = self._shortlist[0]
            self._add(closer)
            has_no_nearer = self._shortlist[0] == nearest
            is_nearest = contact.id_int ^ self._target == nearest
            if self._stop_when is not None and self._stop_when(self):
                self.stop()
                return
            if self._can_widen and has_no_nearer and (is_nearest or not self._saves_queries):
                self._can_widen = False
                self._concurrency = max(self.k, self._concurrency)
            self._advance()

    def on_failure(self, contact: Contact) -> None:
        """``contact`` is dead, or answered with nonsense."""
        if self._settle(contact, _FAILED):
            self._add(self._slots.release(contact))
            self._advance()

    def on_late(self, contact: Contact) -> None:
        """``contact`` is slower than it should be: its slot is given to another, and at
        the second time it is not waited for any more."""
        is_second = self._states.get(contact.id_int ^ self._target) == _LATE
        if self._settle(contact, _LOST if is_second else _LATE):
            self._advance()

    def limit_concurrency(self, limit: int) -> None:
        """From now on have at most ``limit`` calls in flight: what is sought is being found
        on the way, and needs no more."""
        self._can_widen = False
        self._concurrency = min(limit, self._concurrency)

    def stop(self) -> None:
        """End now: what was sought is found, or the lookup is given up."""
        if not self.is_finished:
            self.is_finished = True
            on_finished = self._on_finished
            # Whoever is behind these mostly holds this lookup: a circle for the collector.
            del (
                self._query,
                self._on_finished,
                self._stop_when,
                self._claim,
                self._fallback_contacts,
            )
            on_finished()

    def closest(self) -> list[Contact]:
        """The contacts nearest to the target that answered, nearest first, up to k."""
        return self._closest_in_states(self.k, _ANSWERED)

    def unqueried(self) -> list[Contact]:
        """The nearest contacts that were heard of but not asked, up to k."""
        return self._closest_in_states(self.k, _FRESH)

    @property
    def has_nearest_replied(self) -> bool:
        """Whether the nearest of all that were heard of has answered."""
        return bool(self._shortlist) and self._states[self._shortlist[0]] == _ANSWERED

    def candidates(self, count: int) -> list[Contact]:
        """The nearest contacts that answered or were only heard of, up to so many."""
        return self._closest_in_states(count, _ANSWERED, _FRESH)

    def _closest_in_states(self, count: int, *accepted: int) -> list[Contact]:
        states, contacts = self._states, self._contacts
        shortlist = self._without_dense() if self._is_dense else self._shortlist
        return [contacts[each] for each in shortlist if states[each] in accepted][:count]

    def _without_dense(self) -> list[int]:
        """The shortlist without those not asked who are too near to each other. Who is dead
        counts, too: it is easy to tell of dead ones."""
        density, states = self._density, self._states
        assert density is not None
        kept: list[int] = []
        min_distance = density.min_distance(0)
        for distance in self._shortlist:
            if states[distance] != _FRESH or distance >= min_distance:
                kept.append(distance)
                min_distance = density.min_distance(len(kept))
        return kept

    def _settle(self, contact: Contact, state: int) -> bool:
        """Note what became of a query; False where it does not matter any more."""
        distance = contact.id_int ^ self._target
        previous = self._states.get(distance)
        if self.is_finished or previous not in (_ASKED, _LATE, _LOST):
            return False
        if previous == _ASKED:
            self._in_flight -= 1
        self._states[distance] = state
        return True

    def _add(self, contacts: Iterable[Contact]) -> None:
        states, target, shortlist = self._states, self._target, self._shortlist
        by_distance, local_id, slots = self._contacts, self._local_id, self._slots
        endpoints, exempts_private = slots.endpoints, slots.exempts_private
        for contact in contacts:
            distance = contact.id_int ^ target
            if distance not in states and contact.id != local_id:
                if exempts_private and contact.is_private and contact.endpoint not in endpoints:
                    endpoints.add(contact.endpoint)  # as ``take`` does: saves 0.1 µs
                elif not slots.admit(contact):
                    continue
                states[distance] = _FRESH
                by_distance[distance] = contact
                insort(shortlist, distance)
        # Liars could make it long; the farthest were not asked, or long ago.
        while len(shortlist) > _SHORTLIST_FACTOR * self.k:
            farthest = shortlist.pop()
            state = states.pop(farthest)
            if state == _ASKED:
                self._in_flight -= 1  # what it answers will not matter
            contact = self._contacts.pop(farthest)
            if state != _FAILED:
                self._slots.release(contact)
        if self._dense_threshold:
            half = self.k // 2
            if len(shortlist) > half and shortlist[half] < self._dense_threshold:
                self._is_dense = True
                self._dense_threshold = 0

    def _advance(self) -> None:
        """Ask the nearest contacts not asked yet while slots are free; see whether all is
        done. ``ask`` may come back here at once, so the state is right at each call."""
        while not self.is_finished:
            distance = self._next_to_query()
            if distance is None:
                return
            if self.queries >= _QUERY_FACTOR * self.k:
                self.stop()
                return
            if self._claim is not None and not self._claim(self._contacts[distance]):
                self._states[distance] = _TAKEN
                continue
            self._states[distance] = _ASKED
            self._in_flight += 1
            self.queries += 1
            self._query(self._contacts[distance])

    def _next_to_query(self) -> int | None:
        """Whom to ask now, by distance, among the k nearest neither late nor dead."""
        # A late contact is looked past but waited for; a lost one is waited for only while
        # there are fewer than k others.
        live_count, waiting, is_sparse = 0, False, False
        states = self._states
        for distance in self._without_dense() if self._is_dense else self._shortlist:
            state = states[distance]
            if state == _FRESH:
                if self._in_flight >= self._concurrency:
                    return None
                self._extra_queries_left -= live_count >= self.k
                return distance
            if state == _ASKED or state == _LATE:
                waiting = True
            if state == _ASKED or state == _ANSWERED:
                live_count += 1
                if live_count >= self.k:
                    # So far apart? They may all be one gang: ask others what they know.
                    is_sparse = distance >= self._sparse_threshold and self._extra_queries_left > 0
                    if not is_sparse:
                        break
        if waiting:
            return None
        if is_sparse and self._fallback_contacts is not None:
            fallback_contacts, self._fallback_contacts = self._fallback_contacts, None
            self._add(fallback_contacts())
            return self._next_to_query()
        if live_count >= self.k or _LOST not in states.values():
            self.stop()
        return None
