"""A lookup without a network: the test decides which queried contact replies, and when."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from tests.core.strategies import make_contact

Responder = Callable[[Contact], list[Contact]]


class Search:
    """A running lookup; a query that breaks a rule fails the test immediately."""

    def __init__(
        self,
        target: int,
        *,
        k: int,
        alpha: int,
        local: int = 0,
        late_contacts: Collection[Contact] = (),
        awaits_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self.queried: list[Contact] = []
        self.in_flight: list[Contact] = []
        """Contacts queried that have neither replied nor exceeded their RTO."""
        self.late: list[Contact] = []
        self.late_events = 0
        self.finished = 0
        self.local = local
        self.alpha = alpha
        self.lookup = Lookup(
            LookupInput(
                target=from_int(target),
                local_id=from_int(local),
                k=k,
                alpha=alpha,
                late_contacts=late_contacts,
                awaits_lost=awaits_lost,
            ),
            query=self.query,
            on_finished=self.on_finished,
        )

    def query(self, contact: Contact) -> None:
        assert self.finished == 0
        assert contact.id_int != self.local
        assert contact.id not in {known.id for known in self.queried}
        self.queried.append(contact)
        self.in_flight.append(contact)
        # Private: no public name tells whether the last step, k queries at a time, has begun.
        is_narrow = self.lookup._can_widen
        hedged = min(self.alpha + self.late_events, max(self.alpha, self.lookup.k))
        assert len(self.in_flight) <= (hedged if is_narrow else max(self.alpha, self.lookup.k))
        assert self.lookup.queries == len(self.queried)

    def on_finished(self) -> None:
        self.finished += 1
        assert self.lookup.is_finished

    def reply(self, contact: Contact, closer: Iterable[Contact] = ()) -> None:
        self._settle(contact)
        self.lookup.on_reply(contact, closer)

    def fail(self, contact: Contact) -> None:
        self._settle(contact)
        self.lookup.on_failure(contact)

    def delay(self, contact: Contact) -> None:
        self._settle(contact)
        self.late.append(contact)
        self.late_events += 1
        self.lookup.on_late(contact)

    def _settle(self, contact: Contact) -> None:
        (self.in_flight if contact in self.in_flight else self.late).remove(contact)

    def run(
        self, respond: Responder, rng: random.Random, *, dead: set[Contact], slow: set[Contact]
    ) -> None:
        """Deliver replies, failures and expired RTOs in random order until the lookup finishes."""
        while not self.finished:
            # A query must be outstanding, or the lookup would never finish.
            contact = rng.choice(self.in_flight + self.late)
            if contact in slow and contact in self.in_flight:
                self.delay(contact)
            elif contact in dead:
                self.fail(contact)
            else:
                self.reply(contact, respond(contact))
        assert self.finished == 1


def closest_of(contacts: Iterable[Contact], target: int, count: int) -> list[Contact]:
    return sorted(contacts, key=lambda contact: contact.id_int ^ target)[:count]


def contacts_of(rng: random.Random, count: int) -> list[Contact]:
    return [make_contact(rng.getrandbits(160)) for _ in range(count)]


def search_of(
    numbers: Iterable[int],
    *,
    k: int = 3,
    alpha: int = 2,
    local: int = 999,
    late: Iterable[int] = (),
) -> Search:
    late_contacts = [make_contact(number) for number in late]
    search = Search(0, k=k, alpha=alpha, local=local, late_contacts=late_contacts)
    search.lookup.start([make_contact(number) for number in numbers])
    return search


def numbers(contacts: Iterable[Contact]) -> list[int]:
    return [contact.id_int for contact in contacts]
