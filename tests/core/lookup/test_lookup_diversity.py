"""Lookup under Sybil attack: limits per subnet and on the density of ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kademlua.core.contact import Contact
from kademlua.core.ids import from_int
from kademlua.core.lookup.input import LookupInput
from kademlua.core.lookup.lookup import Lookup
from kademlua.core.params import Params
from kademlua.core.routing.diversity import DiversityLimits, IdDensity
from tests.core.lookup.search import Search, numbers
from tests.core.strategies import make_contact

# Subnet and density limits.


def guarded(
    contacts: Iterable[Contact],
    *,
    k: int = 4,
    nodes: int = 0,
    others: Callable[[], list[Contact]] | None = None,
) -> Search:
    """Return a search with subnet limits, and density limits for ``nodes`` nodes."""
    search = Search(0, k=k, alpha=100, local=999)
    search.lookup = Lookup(
        LookupInput(
            target=bytes(20),
            local_id=from_int(999),
            k=k,
            alpha=100,
            limits=DiversityLimits.from_params(Params()),
            density=IdDensity(nodes, 4) if nodes else None,
            fallback_contacts=others,
        ),
        query=search.query,
        on_finished=search.on_finished,
    )
    search.lookup.start(contacts)
    return search


def of_one_network(*ids: int) -> list[Contact]:
    return [Contact(f"192.0.2.{number}", 1, from_int(number)) for number in ids]


def test_three_contacts_of_a_subnet_are_queried_if_there_are_k_others():
    others = [make_contact(number) for number in (1000, 1001, 1002)]
    search = guarded([*of_one_network(1, 2, 3, 4, 5), *others])
    assert numbers(search.queried) == [1, 2, 3, 1000]
    for contact in list(search.in_flight):
        search.reply(contact)
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 3, 1000]
    assert numbers(search.lookup.candidates(6)) == [1, 2, 3, 1000, 1001, 1002]
    assert numbers(search.lookup.candidates(6, 2)) == [1, 2, 3, 1000, 1001, 1002, 4, 5]


def test_crowded_contacts_are_queried_if_there_are_too_few_others():
    search = guarded([*of_one_network(1, 2, 3, 4, 5, 6), make_contact(1000)], k=6)
    assert numbers(search.queried) == [1, 2, 3, 1000, 4, 5]
    for contact in list(search.in_flight):
        search.reply(contact)
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == [1, 2, 3, 4, 5, 1000]


def test_lookup_in_one_subnet_finds_the_closest():
    network = of_one_network(*range(1, 200))
    search = guarded(network[150:153], k=8)
    while search.in_flight:
        contact = search.in_flight[0]
        nearer = [each for each in network if each.id_int < contact.id_int]
        search.reply(contact, nearer[-8:] if contact.id_int > 20 else network[:8])
    assert search.finished == 1
    assert numbers(search.lookup.closest()) == list(range(1, 9))


def test_crowded_contacts_yield_to_contacts_that_replies_name():
    """A lookup that starts among Sybils of one subnet ends with other contacts."""
    sybils, honest = of_one_network(*range(1, 40)), [make_contact(1000 + n) for n in range(9)]
    search = guarded([*sybils[:6], make_contact(5000)], k=8)
    while search.in_flight:
        contact = search.in_flight[0]
        search.reply(contact, sybils if contact in sybils else honest)
    assert numbers(search.lookup.closest()) == [1, 2, 3, 1000, 1001, 1002, 1003, 1004]
    assert numbers(search.lookup.candidates(8)) == [1, 2, 3, 1000, 1001, 1002, 1003, 1004]


def test_dead_contacts_do_not_block_live_ones_of_their_subnet():
    dead, living = of_one_network(1, 2, 3), of_one_network(4)
    others = [make_contact(1000), make_contact(1001)]
    search = guarded([*dead, *living, *others])
    assert search.queried == [*dead, others[0]]
    search.fail(dead[1])
    assert search.queried == [*dead, others[0], *living]


def test_fake_id_does_not_block_its_endpoint():
    fake, real = Contact("192.0.2.1", 1, from_int(5)), Contact("192.0.2.1", 1, from_int(6))
    search = guarded([fake, real])
    assert search.queried == [fake]
    search.fail(fake)
    assert search.queried == [fake, real]
    search.reply(real)
    assert search.lookup.closest() == [real]


def evenly(nodes: int, count: int) -> list[Contact]:
    """Return the ``count`` closest of ``nodes`` evenly distributed contacts."""
    return [make_contact((number << 160) // nodes) for number in range(1, count + 1)]


def test_contacts_with_too_dense_ids_are_skipped():
    crowd = [make_contact(number) for number in range(1, 30)]
    honest = evenly(1_000, 20)
    search = guarded([*crowd, *honest], k=20, nodes=1_000)
    assert numbers(search.queried) == numbers([*crowd[:4], *honest[:16]])
    assert search.lookup.candidates(40) == [*honest[16:]]
    for contact in list(search.in_flight):
        search.reply(contact, crowd)
    assert search.finished == 1
    assert search.lookup.closest() == [*crowd[:4], *honest[:16]]


def test_dense_ids_are_skipped_after_four_have_failed():
    crowd = [make_contact(number) for number in range(1, 30)]
    search = guarded([*crowd, *evenly(1_000, 20)], k=20, nodes=1_000)
    for contact in crowd[:4]:
        search.fail(contact)
    assert not set(search.queried) & set(crowd[4:])


def test_evenly_distributed_contacts_are_all_accepted():
    honest = evenly(1_000, 30)
    search = guarded(honest, k=20, nodes=1_000)
    assert search.queried == honest[:20]


def test_network_four_times_the_estimate_is_still_found():
    honest = evenly(1_000, 30)
    search = guarded(honest, k=20, nodes=250)
    assert search.queried == honest[:20]


def test_farther_contacts_are_queried_if_closest_ids_are_sparse():
    """Sybils report only each other; a farther contact knows the honest nodes."""
    gang = [make_contact(each.id_int * 5) for each in evenly(1_000, 4)]
    witness, honest = make_contact(1 << 159), evenly(1_000, 4)
    search = guarded([*gang, witness], nodes=1_000)
    assert search.queried == [*gang, witness]
    for contact in gang:
        search.reply(contact, gang)
    assert search.finished == 0
    search.reply(witness, honest)
    for contact in list(search.in_flight):
        search.reply(contact, honest)
    assert search.finished == 1
    assert search.lookup.closest() == honest


def test_at_most_thirty_farther_contacts_are_queried():
    gang = [make_contact(each.id_int * 5) for each in evenly(1_000, 4)]
    others = [make_contact((1 << 159) + number) for number in range(50)]
    search = guarded([*gang, *others], nodes=1_000)
    for contact in [*gang, *others]:
        if contact in search.in_flight:
            search.reply(contact, gang)
    assert search.finished == 1
    assert search.queried == [*gang, *others[:30]]


def test_no_farther_contact_is_queried_if_density_is_as_expected():
    honest = evenly(1_000, 30)
    search = guarded(honest, k=20, nodes=1_000)
    for contact in honest[:20]:
        search.reply(contact, honest)
    assert search.finished == 1
    assert search.queried == honest[:20]


def test_fallback_contacts_are_queried_if_only_sybils_are_known():
    gang = [make_contact(each.id_int * 5) for each in evenly(1_000, 6)]
    witness, honest = make_contact(1 << 159), evenly(1_000, 4)
    search = guarded(gang, nodes=1_000, others=lambda: [witness])
    for contact in gang:
        assert witness not in search.queried
        search.reply(contact, gang)
    search.reply(witness, honest)
    for contact in honest:
        search.reply(contact, honest)
    assert search.finished == 1
    assert search.lookup.closest() == honest
