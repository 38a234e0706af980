"""Lookups that query at once what they have to query anyway: contacts that are certainly near."""

from __future__ import annotations

from collections.abc import Iterable

from kademlua.core.ids import from_int
from kademlua.core.lookup.disjoint_paths import DisjointLookup
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.routing.diversity import IdDensity
from tests.core.lookup.search import Search, numbers
from tests.core.strategies import make_contact

NODES = 1 << 20
GAP = (1 << 160) // NODES
"""The mean distance between ids that are next to each other."""
K = 16
FAR = 1 << 159
"""A distance at which no contact is one of the K closest."""


def lookup_input(*, certain_alpha: int, nodes: int = NODES) -> LookupInput:
    return LookupInput(
        target=bytes(20),
        local_id=from_int(999),
        k=K,
        alpha=2,
        certain_alpha=certain_alpha,
        density=IdDensity(nodes, 4) if nodes else None,
    )


def started(distances: Iterable[int], lookup_input: LookupInput) -> Search:
    """Return a search that has begun with contacts at these distances."""
    search = Search(0, k=K, alpha=max(2, lookup_input.certain_alpha), local=999)
    search.lookup = Lookup(lookup_input, query=search.query, on_finished=search.on_finished)
    search.lookup.start(map(make_contact, distances))
    return search


def test_certain_contacts_are_queried_beyond_alpha() -> None:
    near = [GAP * number for number in range(1, 9)]
    search = started([FAR, FAR + 1, FAR + 2], lookup_input(certain_alpha=K))
    assert numbers(search.queried) == [FAR, FAR + 1]
    search.reply(make_contact(FAR), map(make_contact, near))
    assert numbers(search.queried[2:]) == near


def test_at_most_certain_alpha_queries_are_in_flight() -> None:
    near = [GAP * number for number in range(1, 9)]
    search = started(near, lookup_input(certain_alpha=5))
    assert numbers(search.queried) == near[:5]
    search.reply(make_contact(near[0]))
    assert numbers(search.queried) == near


def test_contacts_that_may_not_be_among_the_k_closest_wait_for_a_slot() -> None:
    distances = [GAP * number for number in (9, 10, 11, 12, 13, 14)]
    search = started(distances, lookup_input(certain_alpha=K))
    assert numbers(search.queried) == distances[:4]  # K less one standard deviation is 12


def test_without_the_size_of_the_network_no_contact_is_certain() -> None:
    search = started([1, 2, 3, 4], lookup_input(certain_alpha=K, nodes=0))
    assert numbers(search.queried) == [1, 2]


def test_limited_lookup_sends_no_more_of_them() -> None:
    search = started([FAR, FAR + 1], lookup_input(certain_alpha=K))
    search.lookup.limit_concurrency(1)
    search.reply(make_contact(FAR), map(make_contact, range(1, 9)))
    assert numbers(search.queried) == [FAR, FAR + 1]
    search.reply(make_contact(FAR + 1))
    assert numbers(search.queried) == [FAR, FAR + 1, 1]


def test_disjoint_paths_keep_to_alpha() -> None:
    queried = []
    lookup = DisjointLookup(
        2, lookup_input(certain_alpha=K), query=queried.append, on_finished=lambda: None
    )
    lookup.start(map(make_contact, range(1, 9)))
    assert len(queried) == 2
