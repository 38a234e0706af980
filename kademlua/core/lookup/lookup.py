"""Lookup: the next contact that an iterative lookup queries, and when it stops.

It calls a function to send a query; its owner reports the result. There are no rounds: each reply,
failure or late reply frees a slot for the next query (Maymounkov and Mazières 2002, section 2.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from kademlua.core.contact import Contact
from kademlua.core.lookup.candidate import Candidate, QueryState, next_anchor
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.shortlist import Shortlist

# Constants are read faster than members of a class; both are in the inner loop.
_UNQUERIED: Final = QueryState.UNQUERIED
_QUERIED: Final = QueryState.QUERIED
_SLOW: Final = QueryState.SLOW
_LOST: Final = QueryState.LOST
_REPLIED: Final = QueryState.REPLIED
_FAILED: Final = QueryState.FAILED

_QUERY_FACTOR: Final = 32
"""Queries of a lookup, as a multiple of k: a malicious node could name contacts forever."""
_MAX_EXTRA_QUERIES: Final = 30
"""Queries beyond the k closest contacts, if these look like a Sybil cluster."""


class Lookup:
    """The search for the k live contacts closest to a target.

    On the way there, ``alpha`` queries are in flight, and up to ``certain_alpha`` to contacts that
    the density of ids places among the k closest. After a reply without a closer contact, all
    of the k closest are queried together, since they have to be anyway; with ``saves_queries`` only
    after such a reply of the closest contact, because a value may end the lookup earlier.

    ``query(contact)`` must not block. It must lead to ``on_reply`` or ``on_failure``, after at
    most two calls of ``on_late``. ``on_finished()`` is called once: when the k closest have
    replied (without those that failed or were late twice, for which it waits if ``awaits_lost()``
    is true), when no contact is left, when ``stop_when(self)`` is true after a reply, or on
    ``stop``.

    ``Shortlist`` says which contacts are left out. If the k closest are farther apart than
    ``density`` allows, other contacts are hidden, and further ones are queried.
    """

    __slots__ = (
        "_anchors",
        "_awaits_lost",
        "_can_widen",
        "_certain_alpha",
        "_certain_distance",
        "_claim",
        "_concurrency",
        "_extra_queries_left",
        "_fallback_contacts",
        "_in_flight",
        "_late_contacts",
        "_on_finished",
        "_query",
        "_saves_queries",
        "_shortlist",
        "_sparse_threshold",
        "_stop_when",
        "is_finished",
        "k",
        "queries",
    )
    __deletable__ = (
        "_awaits_lost",
        "_claim",
        "_fallback_contacts",
        "_on_finished",
        "_query",
        "_stop_when",
    )

    def __init__(
        self,
        lookup_input: LookupInput,
        *,
        query: Callable[[Contact], None],
        on_finished: Callable[[], None],
    ) -> None:
        self.k = lookup_input.k
        self.is_finished = False
        self.queries = 0
        """The number of queries so far."""
        self._concurrency = lookup_input.alpha
        """Queries that may be in flight."""
        self._certain_alpha = lookup_input.certain_alpha
        self._certain_distance = lookup_input.certain_distance
        self._in_flight = 0
        self._can_widen = True
        """Whether the lookup has not yet queried all of the k closest together."""
        self._saves_queries = lookup_input.saves_queries
        self._stop_when = lookup_input.stop_when
        self._query = query
        self._on_finished = on_finished
        self._shortlist = Shortlist(lookup_input)
        self._anchors: list[Candidate] = []
        self._sparse_threshold = lookup_input.sparse_threshold
        self._extra_queries_left = _MAX_EXTRA_QUERIES
        self._fallback_contacts = lookup_input.fallback_contacts
        self._claim = lookup_input.claim
        self._late_contacts = lookup_input.late_contacts
        self._awaits_lost = lookup_input.awaits_lost

    def start(self, seeds: Iterable[Contact], anchors: Iterable[Contact] = ()) -> None:
        """Start with these contacts; without any, the lookup is finished.

        One of ``anchors``, which are seeds, replies before the k closest finish the lookup: they
        may all be of one attacker, and name only each other.
        """
        self._add(seeds)
        found = map(self._shortlist.find, anchors)
        self._anchors = [each for each in found if each is not None]
        self._advance()

    def on_reply(self, contact: Contact, closer: Iterable[Contact]) -> None:
        """Process a reply of ``contact`` with other contacts."""
        if (candidate := self._settle(contact, _REPLIED)) is not None:
            nearest = self._shortlist.nearest
            self._add(closer)
            has_no_nearer = self._shortlist.nearest is nearest
            is_nearest = candidate is nearest
            if self._stop_when is not None and self._stop_when(self):
                self.stop()
                return
            if self._can_widen and has_no_nearer and (is_nearest or not self._saves_queries):
                self._can_widen = False
                self._concurrency = max(self.k, self._concurrency)
            self._advance()

    def on_failure(self, contact: Contact) -> None:
        """Process a timeout or a malformed reply of ``contact``."""
        if (candidate := self._settle(contact, _FAILED)) is not None:
            self._in_flight -= self._shortlist.release(candidate)
            self._advance()

    def on_late(self, contact: Contact) -> None:
        """Give the slot of a late contact to another, and add a slot: others may be late, too.

        The second time, stop waiting for it.
        """
        candidate = self._shortlist.find(contact)
        is_second = candidate is not None and candidate.state is _SLOW
        if self._settle(contact, _LOST if is_second else _SLOW) is not None:
            if not is_second and self._concurrency < self.k:
                self._concurrency += 1
            self._advance()

    def limit_concurrency(self, limit: int) -> None:
        """Keep at most ``limit`` queries in flight from now on."""
        self._can_widen = False
        self._concurrency = min(limit, self._concurrency)
        self._certain_alpha = 0

    def stop(self) -> None:
        """Finish now."""
        if not self.is_finished:
            self.is_finished = True
            on_finished = self._on_finished
            # Their owners refer to this lookup: break the reference cycles.
            del (
                self._awaits_lost,
                self._query,
                self._on_finished,
                self._stop_when,
                self._claim,
                self._fallback_contacts,
            )
            on_finished()

    def closest(self) -> list[Contact]:
        """Return the closest contacts that replied, nearest first, up to k."""
        return self._shortlist.in_states(self.k, (_REPLIED,))

    def unqueried(self, count: int) -> list[Contact]:
        """Return the closest contacts that were not queried, up to ``count``."""
        return self._shortlist.in_states(count, (_UNQUERIED,))

    @property
    def has_nearest_replied(self) -> bool:
        """Whether the closest contact of the shortlist has replied."""
        return (nearest := self._shortlist.nearest) is not None and nearest.state is _REPLIED

    def candidates(self, count: int, fallback_count: int = 0) -> list[Contact]:
        """Return the closest contacts that replied or were not queried, up to ``count``.

        Up to ``fallback_count`` further ones follow.
        """
        return self._shortlist.in_states(count, (_REPLIED, _UNQUERIED), fallback_count)

    @property
    def has_converged(self) -> bool:
        """Whether a reply has named no nearer contact."""
        return not self._can_widen

    def is_among_closest(self, contact: Contact, count: int) -> bool:
        """Return whether fewer than ``count`` live contacts are nearer than ``contact``."""
        if (own := self._shortlist.find(contact)) is None:
            return False
        if self._shortlist.is_certainly_among(own, count):  # the usual case
            return True
        for candidate in self._shortlist.query_order():
            if candidate is own:
                return count > 0
            count -= candidate.state is not _FAILED and candidate.state is not _LOST
            if count <= 0:
                return False
        return False

    def _settle(self, contact: Contact, state: QueryState) -> Candidate | None:
        """Record the result of a query, and return its candidate; None if it no longer matters."""
        candidate = self._shortlist.find(contact)
        if self.is_finished or candidate is None:
            return None
        previous = candidate.state
        if previous is _QUERIED:
            self._in_flight -= 1
        elif previous is not _SLOW and previous is not _LOST:
            return None
        candidate.state = state
        return candidate

    def _add(self, contacts: Iterable[Contact]) -> None:
        self._in_flight -= self._shortlist.add(contacts)  # replies of dropped ones will not matter

    def _advance(self) -> None:
        """Query the next contacts while slots are free, and finish if nothing is left.

        ``query`` may call back immediately, so the state is consistent before each call.
        """
        while not self.is_finished:
            candidate = self._next_to_query()
            if candidate is None:
                return
            if self.queries >= _QUERY_FACTOR * self.k:
                self.stop()
                return
            if self._claim is not None and not self._claim(candidate.contact):
                candidate.state = QueryState.CLAIMED
                continue
            candidate.state = _QUERIED
            self._in_flight += 1
            self.queries += 1
            self._query(candidate.contact)

    def _next_to_query(self) -> Candidate | None:
        """Return the next contact to query; None if there is none now."""
        # The lookup goes past a slow contact but waits for it. It waits for a lost one only if
        # there are fewer than k others, or if its owner still lacks what it searches.
        live_count, waiting, is_sparse = 0, False, False
        postponed: Candidate | None = None
        late_contacts, in_flight = self._late_contacts, self._in_flight
        for candidate in self._shortlist.query_order():
            state = candidate.state
            if state is _UNQUERIED:
                if in_flight >= self._concurrency and (
                    in_flight >= self._certain_alpha or candidate.distance > self._certain_distance
                ):
                    return None
                if late_contacts and candidate.contact in late_contacts:
                    if postponed is None:
                        postponed = candidate
                    continue
                self._extra_queries_left -= live_count >= self.k
                return candidate
            if state is _QUERIED or state is _SLOW:
                waiting = True
            if state is _QUERIED or state is _REPLIED:
                live_count += 1
                if live_count >= self.k:
                    # If sparse, they may all be one cluster: query further contacts.
                    is_far = candidate.distance >= self._sparse_threshold
                    is_sparse = is_far and self._extra_queries_left > 0
                    if not is_sparse:
                        break
        if waiting or postponed is not None:
            return postponed
        if is_sparse and self._fallback_contacts is not None:
            fallback_contacts, self._fallback_contacts = self._fallback_contacts, None
            self._add(fallback_contacts())
            return self._next_to_query()
        if live_count < self.k:
            is_over = not self._shortlist.has_state(_LOST)
        else:
            is_over = not (self._awaits_lost() and self._shortlist.is_lost_one_near())
        if not is_over:
            return None
        anchor = next_anchor(self._anchors)
        if anchor is None:
            self.stop()
            return None
        return anchor if anchor.state is _UNQUERIED else None
