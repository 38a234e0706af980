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
from kademlua.core.lookup.shortlist_slots import Places
from kademlua.core.routing.diversity import CrowdLimits, Spread

_FRESH, _ASKED, _LATE, _LOST, _ANSWERED, _FAILED, _TAKEN = range(7)

_NOWHERE = 1 << ID_BITS
_LENGTH = 16
"""The shortlist holds at most so many times k contacts."""
_QUERIES = 32
"""A lookup asks at most so many times k contacts: who leads it on forever, in vain."""
_EXTRA = 30
"""Contacts beyond the k nearest that may be asked: the rest of what one gang tells of, and a
score of others."""


class Lookup:
    """The search for the ``k`` live contacts closest to ``target``.

    ``alpha`` are asked at a time on the way there. Once an answer told of nobody nearer, all
    of the k closest are asked at once: they have to be anyway, and it saves round trips. With
    ``is_sparing`` only once the nearest itself told so: what is sought may end the lookup
    before.

    ``ask(contact)`` must not block, and must lead to one of ``answered`` and ``failed``
    later, with at most two ``late`` before. ``finished()`` is called once: when the k
    closest have answered (those not counted that are dead, or late for the second time),
    when nobody is left to ask, when an answer makes ``until(self)`` true, or on ``stop``.

    The shortlist has one id of an endpoint, and no more contacts of a network than ``limits``
    say. Where ids are nearer to each other than ``spread`` allows, those too many are passed
    over: neither asked nor found. Where the k closest are farther apart than it says, some
    others are asked before it is finished.
    """

    __slots__ = (
        "_ask",
        "_contacts",
        "_crowded_below",
        "_extra",
        "_finished",
        "_in_flight",
        "_is_crowded",
        "_is_open",
        "_is_sparing",
        "_limit",
        "_lonely_beyond",
        "_others",
        "_own_id",
        "_places",
        "_shortlist",
        "_spread",
        "_states",
        "_take",
        "_target",
        "_until",
        "done",
        "k",
        "queries",
    )

    def __init__(
        self,
        target: bytes,
        *,
        own_id: bytes,
        k: int,
        alpha: int,
        ask: Callable[[Contact], None],
        finished: Callable[[], None],
        is_sparing: bool = False,
        until: Callable[[Lookup], bool] | None = None,
        limits: CrowdLimits | None = None,
        spread: Spread | None = None,
        take: Callable[[Contact], bool] | None = None,
        sharing: int = 1,
        others: Callable[[], Iterable[Contact]] | None = None,
    ) -> None:
        """``others()`` gives contacts farther away, for where a gang hides those that are near.
        ``take(contact)`` is asked before a contact is, and is false where another of the
        ``sharing`` lookups of this target has taken it."""
        self.k = k
        self.done = False
        self.queries = 0
        """Contacts asked so far."""
        self._target = to_int(target)
        self._own_id = own_id
        self._limit = alpha
        """Calls that may be in flight now."""
        self._in_flight = 0
        self._is_open = True
        """Whether the last step, in which more may be in flight, can still come."""
        self._is_sparing = is_sparing
        self._until = until
        self._ask = ask
        self._finished = finished
        # Distances to the target in order; who is that far away, and what became of it.
        # (Plain dictionaries: an object per candidate doubles the garbage collector's work.)
        self._shortlist: list[int] = []
        self._contacts: dict[int, Contact] = {}
        self._states: dict[int, int] = {}
        self._places = Places(limits)
        self._spread = spread
        self._crowded_below = 0 if spread is None else spread.least(k // 2)
        """Where one with half of k others nearer is nearer than this, there is a crowd; 0 where
        that is known."""
        self._is_crowded = False
        self._lonely_beyond = _NOWHERE if spread is None else spread.farthest(k, sharing)
        """Where the last of the k nearest is farther away than this, others are hidden."""
        self._extra = _EXTRA
        self._others = others
        self._take = take

    def start(self, seeds: Iterable[Contact]) -> None:
        """Begin with these contacts; finishes at once where there are none."""
        self._add(seeds)
        self._advance()

    def answered(self, contact: Contact, closer: Iterable[Contact]) -> None:
        """``contact`` answered, and told of other contacts."""
        if self._leave(contact, _ANSWERED):
            nearest = self._shortlist[0]
            self._add(closer)
            told_of_nobody_nearer = self._shortlist[0] == nearest
            is_nearest = contact.number ^ self._target == nearest
            if self._until is not None and self._until(self):
                self.stop()
                return
            if self._is_open and told_of_nobody_nearer and (is_nearest or not self._is_sparing):
                self._is_open = False
                self._limit = max(self.k, self._limit)
            self._advance()

    def failed(self, contact: Contact) -> None:
        """``contact`` is dead, or answered with nonsense."""
        if self._leave(contact, _FAILED):
            self._add(self._places.give_up(contact))
            self._advance()

    def late(self, contact: Contact) -> None:
        """``contact`` is slower than it should be: its slot is given to another, and at
        the second time it is not waited for any more."""
        is_second = self._states.get(contact.number ^ self._target) == _LATE
        if self._leave(contact, _LOST if is_second else _LATE):
            self._advance()

    def narrow(self, limit: int) -> None:
        """From now on have at most ``limit`` calls in flight: what is sought is being found
        on the way, and needs no more."""
        self._is_open = False
        self._limit = min(limit, self._limit)

    def stop(self) -> None:
        """End now: what was sought is found, or the lookup is given up."""
        if not self.done:
            self.done = True
            finished = self._finished
            # Whoever is behind these mostly holds this lookup: a circle for the collector.
            del self._ask, self._finished, self._until, self._take, self._others
            finished()

    def closest(self) -> list[Contact]:
        """The contacts nearest to the target that answered, nearest first, up to k."""
        return self._nearest(self.k, _ANSWERED)

    def unasked(self) -> list[Contact]:
        """The nearest contacts that were heard of but not asked, up to k."""
        return self._nearest(self.k, _FRESH)

    @property
    def has_nearest(self) -> bool:
        """Whether the nearest of all that were heard of has answered."""
        return bool(self._shortlist) and self._states[self._shortlist[0]] == _ANSWERED

    def known(self, count: int) -> list[Contact]:
        """The nearest contacts that answered or were only heard of, up to so many."""
        return self._nearest(count, _ANSWERED, _FRESH)

    def _nearest(self, count: int, *wanted: int) -> list[Contact]:
        states, contacts = self._states, self._contacts
        row = self._uncrowded() if self._is_crowded else self._shortlist
        return [contacts[each] for each in row if states[each] in wanted][:count]

    def _uncrowded(self) -> list[int]:
        """The shortlist without those not asked who are too near to each other. Who is dead
        counts, too: it is easy to tell of dead ones."""
        spread, states = self._spread, self._states
        assert spread is not None
        row: list[int] = []
        least = spread.least(0)
        for distance in self._shortlist:
            if states[distance] != _FRESH or distance >= least:
                row.append(distance)
                least = spread.least(len(row))
        return row

    def _leave(self, contact: Contact, state: int) -> bool:
        """Note what became of a query; False where it does not matter any more."""
        distance = contact.number ^ self._target
        former = self._states.get(distance)
        if self.done or former not in (_ASKED, _LATE, _LOST):
            return False
        if former == _ASKED:
            self._in_flight -= 1
        self._states[distance] = state
        return True

    def _add(self, contacts: Iterable[Contact]) -> None:
        states, target, shortlist = self._states, self._target, self._shortlist
        by_distance, own_id, places = self._contacts, self._own_id, self._places
        endpoints, is_lax = places.endpoints, places.exempts_private
        for contact in contacts:
            distance = contact.number ^ target
            if distance not in states and contact.id != own_id:
                if is_lax and contact.is_private and contact.endpoint not in endpoints:
                    endpoints.add(contact.endpoint)  # as ``take`` does: saves 0.1 µs
                elif not places.take(contact):
                    continue
                states[distance] = _FRESH
                by_distance[distance] = contact
                insort(shortlist, distance)
        # Liars could make it long; the farthest were not asked, or long ago.
        while len(shortlist) > _LENGTH * self.k:
            farthest = shortlist.pop()
            state = states.pop(farthest)
            if state == _ASKED:
                self._in_flight -= 1  # what it answers will not matter
            contact = self._contacts.pop(farthest)
            if state != _FAILED:
                self._places.give_up(contact)
        if self._crowded_below:
            half = self.k // 2
            if len(shortlist) > half and shortlist[half] < self._crowded_below:
                self._is_crowded = True
                self._crowded_below = 0

    def _advance(self) -> None:
        """Ask the nearest contacts not asked yet while slots are free; see whether all is
        done. ``ask`` may come back here at once, so the state is right at each call."""
        while not self.done:
            distance = self._next()
            if distance is None:
                return
            if self.queries >= _QUERIES * self.k:
                self.stop()
                return
            if self._take is not None and not self._take(self._contacts[distance]):
                self._states[distance] = _TAKEN
                continue
            self._states[distance] = _ASKED
            self._in_flight += 1
            self.queries += 1
            self._ask(self._contacts[distance])

    def _next(self) -> int | None:
        """Whom to ask now, by distance, among the k nearest neither late nor dead."""
        # A late contact is looked past but waited for; a lost one is waited for only while
        # there are fewer than k others.
        hopeful, waiting, is_lonely = 0, False, False
        states = self._states
        for distance in self._uncrowded() if self._is_crowded else self._shortlist:
            state = states[distance]
            if state == _FRESH:
                if self._in_flight >= self._limit:
                    return None
                self._extra -= hopeful >= self.k
                return distance
            if state == _ASKED or state == _LATE:
                waiting = True
            if state == _ASKED or state == _ANSWERED:
                hopeful += 1
                if hopeful >= self.k:
                    # So far apart? They may all be one gang: ask others what they know.
                    is_lonely = distance >= self._lonely_beyond and self._extra > 0
                    if not is_lonely:
                        break
        if waiting:
            return None
        if is_lonely and self._others is not None:
            others, self._others = self._others, None
            self._add(others())
            return self._next()
        if hopeful >= self.k or _LOST not in states.values():
            self.stop()
        return None
