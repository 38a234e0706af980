"""Paths: one search on several ways that have no node in common.

Each way is a lookup with a shortlist of its own, so that a liar leads only the one astray on
which it was asked; what they share is who was asked (Baumgart and Mies 2007, S/Kademlia,
section 4.4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.routing.diversity import CrowdLimits, Spread


class Paths:
    """So many lookups of one target, to be handled like a single one.

    The contacts that it begins with are dealt out in turn, the nearest first. It is finished
    when all lookups are.
    """

    __slots__ = ("_finished", "_left", "_lookups", "_of", "_target", "done", "k")

    def __init__(
        self,
        count: int,
        target: bytes,
        *,
        own_id: bytes,
        k: int,
        alpha: int,
        ask: Callable[[Contact], None],
        finished: Callable[[], None],
        is_sparing: bool = False,
        limits: CrowdLimits | None = None,
        spread: Spread | None = None,
        others: Callable[[], Iterable[Contact]] | None = None,
    ) -> None:
        """``alpha`` calls in flight are shared by the lookups, at least one to each; all else
        is as in ``Lookup``."""
        self.k = k
        self.done = False
        self._target = to_int(target)
        self._finished = finished
        self._of: dict[bytes, Lookup] = {}
        """The lookup that asked a node, by its id."""
        self._left = count
        self._lookups: list[Lookup] = []
        for _ in range(count):
            lookup = Lookup(
                target,
                own_id=own_id,
                k=k,
                alpha=-(-alpha // count),
                ask=ask,
                finished=self._one_finished,
                is_sparing=is_sparing,
                limits=limits,
                spread=spread,
                take=partial(self._take, len(self._lookups)),
                sharing=count,
                others=others,
            )
            self._lookups.append(lookup)

    def start(self, seeds: Iterable[Contact]) -> None:
        """Begin with these contacts, dealt out to the paths by distance."""
        target = self._target
        dealt = sorted(set(seeds), key=lambda contact: contact.number ^ target)
        count = len(self._lookups)
        for number, lookup in enumerate(self._lookups):
            lookup.start(dealt[number::count])

    def answered(self, contact: Contact, closer: Iterable[Contact]) -> None:
        """As in ``Lookup``."""
        self._of[contact.id].answered(contact, closer)

    def failed(self, contact: Contact) -> None:
        """As in ``Lookup``."""
        self._of[contact.id].failed(contact)

    def late(self, contact: Contact) -> None:
        """As in ``Lookup``."""
        self._of[contact.id].late(contact)

    def narrow(self, limit: int) -> None:
        """As in ``Lookup``, in all; but each path goes on."""
        for lookup in self._lookups:
            lookup.narrow(max(1, limit // len(self._lookups)))

    def stop(self) -> None:
        """End now, all of them."""
        for lookup in self._lookups:
            lookup.stop()

    @property
    def queries(self) -> int:
        """Contacts asked so far."""
        return sum(lookup.queries for lookup in self._lookups)

    def closest(self) -> list[Contact]:
        """The contacts nearest to the target that answered on any path, up to k."""
        return self._nearest(self.k, [lookup.closest() for lookup in self._lookups])

    def unasked(self) -> list[Contact]:
        """The nearest contacts that no path asked, up to k."""
        return self._nearest(
            self.k, [self._of_its_own(each, each.unasked()) for each in self._lookups]
        )

    def known(self, count: int) -> list[Contact]:
        """The nearest contacts that answered or were only heard of, up to so many."""
        return self._nearest(
            count, [self._of_its_own(each, each.known(count)) for each in self._lookups]
        )

    def _of_its_own(self, lookup: Lookup, contacts: list[Contact]) -> list[Contact]:
        """Without those that another path asked, which knows better what became of them."""
        return [each for each in contacts if self._of.get(each.id, lookup) is lookup]

    def _nearest(self, count: int, found: list[list[Contact]]) -> list[Contact]:
        each_once = {contact.id: contact for some in found for contact in some}
        return sorted(each_once.values(), key=lambda each: each.number ^ self._target)[:count]

    def _take(self, number: int, contact: Contact) -> bool:
        lookup = self._lookups[number]
        return self._of.setdefault(contact.id, lookup) is lookup

    def _one_finished(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.done = True
            finished = self._finished
            del self._finished  # whoever is behind it mostly holds this: a circle
            finished()
