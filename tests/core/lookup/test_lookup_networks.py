"""Lookup in simulated networks: it finds exactly the closest live contacts."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.routing.table import RoutingTable
from tests.core.lookup.search import Search, closest_of, contacts_of

# Networks.


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1 << 32),
    size=st.integers(1, 120),
    k=st.sampled_from([1, 3, 8, 20]),
    alpha=st.integers(1, 5),
    dying=st.sampled_from([0.0, 0.2, 0.6]),
    slowness=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_finds_exactly_the_closest_live_contacts(seed, size, k, alpha, dying, slowness):
    """Each node reports the k closest live and fast contacts, and all closer ones."""
    rng = random.Random(seed)
    contacts = contacts_of(rng, min(size, 16 * k))  # capacity of the shortlist
    target = rng.getrandbits(160)
    dead = {contact for contact in contacts if rng.random() < dying}
    slow = {contact for contact in contacts if rng.random() < slowness}
    live = set(contacts) - dead
    ordered = closest_of(contacts, target, len(contacts))
    quick = closest_of(live - slow, target, k)
    reported = ordered[: ordered.index(quick[-1]) + 1] if len(quick) == k else ordered

    def respond(contact: Contact) -> list[Contact]:
        return rng.sample(reported, len(reported))

    search = Search(target, k=k, alpha=alpha)
    search.lookup.start(rng.sample(contacts, min(len(contacts), 5)) + list(live)[:1])
    search.run(respond, rng, dead=dead, slow=slow)
    found = search.lookup.closest()
    assert found == closest_of(found, target, k)
    assert set(found) <= live
    if not slow:
        assert found == closest_of(live, target, k)
    else:
        # Only slow contacts may be skipped, if others replace them.
        assert len(found) == min(k, len(live))
        worst = found[-1].id_int ^ target if found else 0
        passed = {c for c in live - set(found) if c.id_int ^ target < worst}
        assert passed <= slow


@pytest.mark.parametrize("k", [2, 8, 20])
def test_finds_closest_nodes_through_routing_tables(k):
    """Each node knows only the contacts in its routing table."""
    rng = random.Random(k)
    contacts = contacts_of(rng, 250)
    tables = {}
    for contact in contacts:
        table = tables[contact] = RoutingTable(contact.id, k, 0.0)
        for other in rng.sample(contacts, len(contacts)):
            table.on_reply(other, 0.0)

    def respond_closest(target: bytes, contact: Contact) -> list[Contact]:
        return tables[contact].closest(target, k)

    exact = 0
    for _ in range(40):
        target = rng.getrandbits(160)
        search = Search(target, k=k, alpha=3)
        search.lookup.start(rng.sample(contacts, 1))
        respond = partial(respond_closest, from_int(target))
        search.run(respond, rng, dead=set(), slow=set())
        exact += search.lookup.closest() == closest_of(contacts, target, k)
        assert search.lookup.closest()[0] == closest_of(contacts, target, 1)[0]
        assert search.lookup.queries <= 4 * k + 20
    assert exact >= 39 if k == 2 else exact == 40


def test_replies_may_arrive_before_query_returns():
    """Without a network, replies arrive before ``query`` returns."""
    rng = random.Random(5)
    contacts = contacts_of(rng, 60)
    target = rng.getrandbits(160)
    finished = []

    def query(contact: Contact) -> None:
        if contact.id_int & 1:
            lookup.on_failure(contact)
        else:
            lookup.on_reply(contact, contacts)

    lookup = Lookup(
        LookupInput(target=from_int(target), local_id=bytes(20), k=8, alpha=3),
        query=query,
        on_finished=lambda: finished.append(lookup.closest()),
    )
    lookup.start(contacts[:10])
    even = [contact for contact in contacts if not contact.id_int & 1]
    assert finished == [closest_of(even, target, 8)]
