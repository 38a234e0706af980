"""DisjointLookup: one lookup over several disjoint paths.

Each path has a shortlist of its own, so a malicious node misleads only the path that queried it. A
node is queried on one path only (Baumgart and Mies 2007, S/Kademlia, section 4.4).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.routing.diversity import UNLIMITED


class DisjointLookup:
    """Several lookups of one target, with the interface of a single one.

    The first contacts are dealt to the paths, nearest first. The lookup is finished when all of its
    paths are.
    """

    __slots__ = (
        "_claimed_by",
        "_limits",
        "_lookups",
        "_on_finished",
        "_target",
        "_unfinished",
        "is_finished",
        "k",
    )
    __deletable__ = ("_on_finished",)

    def __init__(
        self,
        path_count: int,
        lookup_input: LookupInput,
        *,
        query: Callable[[Contact], None],
        on_finished: Callable[[], None],
    ) -> None:
        """Divide ``alpha`` among the paths, at least one query in flight for each."""
        self.k = lookup_input.k
        self.is_finished = False
        self._target = to_int(lookup_input.target)
        self._on_finished = on_finished
        self._limits = lookup_input.limits or UNLIMITED
        self._claimed_by: dict[bytes, Lookup] = {}
        """The path that queried a node, by the node's id."""
        self._unfinished = path_count
        self._lookups: list[Lookup] = []
        for _ in range(path_count):
            path_input = replace(
                lookup_input,
                alpha=-(-lookup_input.alpha // path_count),
                certain_alpha=0,
                stop_when=None,
                claim=partial(self._claim, len(self._lookups)),
                path_count=path_count,
            )
            lookup = Lookup(path_input, query=query, on_finished=self._on_path_finished)
            self._lookups.append(lookup)

    def start(self, seeds: Iterable[Contact], anchors: Collection[Contact] = ()) -> None:
        """Start with these contacts, dealt to the paths by distance, and with the anchors."""
        target = self._target
        ordered_seeds = sorted(set(seeds), key=lambda contact: contact.id_int ^ target)
        path_count = len(self._lookups)
        for index, lookup in enumerate(self._lookups):
            lookup.start(ordered_seeds[index::path_count], anchors)

    def on_reply(self, contact: Contact, closer: Iterable[Contact]) -> None:
        """See ``Lookup``."""
        self._claimed_by[contact.id].on_reply(contact, closer)

    def on_failure(self, contact: Contact) -> None:
        """See ``Lookup``."""
        self._claimed_by[contact.id].on_failure(contact)

    def on_late(self, contact: Contact) -> None:
        """See ``Lookup``."""
        self._claimed_by[contact.id].on_late(contact)

    def limit_concurrency(self, limit: int) -> None:
        """See ``Lookup``; the limit is shared, but each path goes on."""
        for lookup in self._lookups:
            lookup.limit_concurrency(max(1, limit // len(self._lookups)))

    def stop(self) -> None:
        """End all paths."""
        for lookup in self._lookups:
            lookup.stop()

    @property
    def queries(self) -> int:
        """The number of queries so far."""
        return sum(lookup.queries for lookup in self._lookups)

    def closest(self) -> list[Contact]:
        """Return the closest contacts that replied on any path, up to k."""
        return self._merge(self.k, [lookup.closest() for lookup in self._lookups])

    def unqueried(self, count: int) -> list[Contact]:
        """Return the closest contacts that no path queried, up to ``count``."""
        return self._merge(
            count,
            [
                self._without_claimed_elsewhere(each, each.unqueried(count))
                for each in self._lookups
            ],
        )

    def candidates(self, count: int, fallback_count: int = 0) -> list[Contact]:
        """See ``Lookup``."""
        return self._merge(
            count,
            [
                self._without_claimed_elsewhere(each, each.candidates(count, fallback_count))
                for each in self._lookups
            ],
            fallback_count,
        )

    def _without_claimed_elsewhere(self, lookup: Lookup, contacts: list[Contact]) -> list[Contact]:
        """Return the contacts that no other path has queried."""
        return [each for each in contacts if self._claimed_by.get(each.id, lookup) is lookup]

    def _merge(
        self, count: int, results: list[list[Contact]], fallback_count: int = 0
    ) -> list[Contact]:
        unique = {contact.id: contact for some in results for contact in some}
        nearest_first = sorted(unique.values(), key=lambda each: each.id_int ^ self._target)
        return self._limits.select(nearest_first, count, fallback_count)

    def _claim(self, index: int, contact: Contact) -> bool:
        lookup = self._lookups[index]
        return self._claimed_by.setdefault(contact.id, lookup) is lookup

    def _on_path_finished(self) -> None:
        self._unfinished -= 1
        if self._unfinished == 0:
            self.is_finished = True
            on_finished = self._on_finished
            del self._on_finished  # its owner refers to this lookup: break the cycle
            on_finished()
