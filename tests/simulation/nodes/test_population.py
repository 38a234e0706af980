"""The population: joins, churn, events, and the nodes that lookups should find."""

import random

import gevent
import pytest

from kademlua.core.contact import Contact
from kademlua.core.ids import to_int
from kademlua.simulation.clock.loop import virtual_now
from kademlua.simulation.network.id_index import IdIndex
from kademlua.simulation.scenario.scenario import ChurnSettings, NetworkSettings
from tests.simulation.small import make_scenario, with_population


def run_test(test, seed=1, **changes):
    """Return ``test(population, network)`` for a changed scenario after all nodes have joined."""
    return with_population(test, make_scenario(**changes), seed)


# The id index.


@pytest.mark.parametrize("count", [0, 1, 5, 40, 300])
def test_closest_is_exact(count):
    rng = random.Random(count)
    numbers = [rng.getrandbits(160) for _ in range(count)]
    index = IdIndex()
    for number in numbers:
        index.add(number)
    for number in numbers[::7]:
        index.remove(number)
    remaining = [number for place, number in enumerate(numbers) if place % 7]
    assert len(index) == len(remaining)
    for _ in range(20):
        target = rng.getrandbits(160)
        for wanted in (lambda number: True, lambda number: number % 3 == 0, lambda number: False):
            expected = sorted(filter(wanted, remaining), key=target.__xor__)[:20]
            assert index.closest(target, 20, wanted) == expected


# Joining.


def test_all_nodes_join_within_the_join_time():
    def work(population, network):
        assert virtual_now() == 15
        return [member.number for member in population.live_members], population

    numbers, population = run_test(work)
    assert sorted(numbers) == list(range(20))
    assert len(population.live_ids) == 20


def test_more_members_do_not_change_the_ids_of_others():
    few = run_test(lambda population, _: [m.id for m in sorted_live(population)])
    more = run_test(lambda population, _: [m.id for m in sorted_live(population)], nodes=30)
    assert more[:20] == few
    assert run_test(lambda population, _: population.live_members[0].id, seed=2) != few[0]


def sorted_live(population):
    return sorted(population.live_members, key=lambda member: member.number)


# Leaving.


def test_vanishing_nodes_send_no_packet():
    def work(population, network):
        before = network.sent
        population.vanish(0.5)
        assert network.sent == before
        assert (len(population.live_members), len(population.live_ids), population.departures) == (
            10,
            10,
            10,
        )
        dead = sum(
            not population.is_running(contact)
            for member in population.live_members
            for contact in member.node.table
        )
        assert dead > 50
        gevent.sleep(30)

    run_test(work)


def test_contact_is_running_until_its_node_leaves():
    def work(population, _):
        member = population.live_members[3]
        contact = member.node.contact
        assert population.is_running(contact)
        assert not population.is_running(Contact(contact.addr, 5, contact.id))
        population.remove(member, graceful=True)
        assert not population.is_running(contact)
        assert member not in population.live_members

    run_test(work)


def test_churn_replaces_members_that_do_not_return():
    def work(population, _):
        population.start_churn()
        gevent.sleep(600)
        return population

    population = run_test(
        work, churn=ChurnSettings(median=60.0, returns=0.0, graceful=0.5, stays=0.2)
    )
    assert population.departures > 20
    assert population.arrivals == pytest.approx(population.departures, abs=3)
    assert len(population.live_members) == pytest.approx(20, abs=3)
    ids = [member.id for member in population.live_members]
    assert len(set(ids)) == len(ids)
    assert any(member.number >= 20 for member in population.live_members)
    stayed = [
        member.number
        for member in population.live_members
        if member.is_permanent and member.number < 20
    ]
    assert stayed


def test_returning_members_keep_their_identity():
    def work(population, _):
        population.start_churn()
        gevent.sleep(300)
        return population

    churn = ChurnSettings(sessions="weibull", shape=0.7, median=30.0, returns=1.0, away=10.0)
    population = run_test(work, churn=churn)
    assert population.arrivals > 20
    assert max(member.incarnation for member in population.live_members) > 2
    assert all(member.number < 20 for member in population.live_members)


# Partitions, NAT, pauses.


def test_partition_separates_members_until_it_heals():
    def work(population, network):
        population.partition(0.3)
        sides = [member.partition_side for member in sorted_live(population)]
        assert sides.count(0) == 6
        one = next(member for member in population.live_members if member.partition_side == 0)
        other = next(member for member in population.live_members if member.partition_side == 1)
        assert not population.are_connected(one, other)
        expected = population.closest(one.id, one, virtual_now(), 20)
        assert len(expected) == 5
        with pytest.raises(TimeoutError):
            one.node.ping(other.endpoint)
        population.heal()
        assert population.are_connected(one, other)
        assert one.node.ping(other.endpoint).contact.id == other.id

    run_test(work)


def test_nodes_behind_nat_are_not_expected_in_lookups():
    def work(population, network):
        hidden = [member for member in population.live_members if not member.is_public]
        assert 4 <= len(hidden) <= 16
        seeker = next(member for member in population.live_members if member.is_public)
        expected = population.closest(seeker.id, seeker, virtual_now(), 20)
        assert len(expected) == 20 - len(hidden) - 1
        assert network.lost["nat"] > 0

    run_test(work, network=NetworkSettings(nat=0.5))


def test_paused_nodes_are_not_expected_in_lookups():
    def work(population, network):
        population.pause(0.25, 10.0)
        paused = [member for member in population.live_members if member.is_paused]
        assert len(paused) == 5
        seeker = next(member for member in population.live_members if not member.is_paused)
        expected = population.closest(seeker.id, seeker, virtual_now(), 20)
        assert len(expected) == 14
        assert to_int(paused[0].id) not in expected
        gevent.sleep(10.5)
        assert not any(member.is_paused for member in population.live_members)
        assert len(population.closest(seeker.id, seeker, virtual_now(), 20)) == 19

    run_test(work)
